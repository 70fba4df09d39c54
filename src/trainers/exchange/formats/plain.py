"""Our dictionaries as other libraries can hold them: fewer kinds of weights, the same codes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import RowTransform
from trainers.exchange.formats.transcoder import is_transcoder
from trainers.exchange.trained import TrainedDictionary

__all__ = ["PlainSae", "PlainWeights", "plain_sae", "plain_weights", "refuse_transcoder"]

_RAW: Final[tuple[RowTransform, ...]] = ("none",)


class PlainWeights(NamedTuple):
    """Weights without rank and scale of latents, float32 on a CPU."""

    W_enc_SDF: Tensor
    b_enc_F: Tensor
    W_dec_FSD: Tensor
    b_dec_SD: Tensor
    threshold_F: Tensor | None


class PlainSae(NamedTuple):
    """The same for one site."""

    W_enc_DF: Tensor
    b_enc_F: Tensor
    W_dec_FD: Tensor
    b_dec_D: Tensor
    threshold_F: Tensor | None


def plain_sae(
    dictionary: TrainedDictionary,
    *,
    to: str,
    activations: Collection[str],
    subtracts_b_dec: bool | None = None,
    row_transforms: Collection[RowTransform] = _RAW,
) -> PlainSae:
    """Return the weights of a dictionary of one site for another library; parameters and errors of `plain_weights`."""
    refuse_transcoder(dictionary, to)
    if len(dictionary.sites) != 1:
        raise errors.UsageError(
            f"{to} holds dictionaries of one site, and this one has {len(dictionary.sites)} "
            f"({', '.join(dictionary.sites)}); export it to 'crosscoder' or to 'safetensors'"
        )
    weights = plain_weights(
        dictionary, to=to, activations=activations, subtracts_b_dec=subtracts_b_dec, row_transforms=row_transforms
    )
    return PlainSae(
        weights.W_enc_SDF[0].contiguous(),
        weights.b_enc_F,
        weights.W_dec_FSD[:, 0].contiguous(),
        weights.b_dec_SD[0].contiguous(),
        weights.threshold_F,
    )


@torch.no_grad()
def plain_weights(
    dictionary: TrainedDictionary,
    *,
    to: str,
    activations: Collection[str],
    subtracts_b_dec: bool | None = None,
    row_transforms: Collection[RowTransform] = _RAW,
) -> PlainWeights:
    """Return weights that give the same codes and reconstructions in another library, computed in float64.

    The scale of latents goes into encoder and decoder, a rank into the thresholds, and the subtraction of b_dec into
    b_enc where a library does it otherwise: ``(x - b_dec) W + b_enc = x W + (b_enc - b_dec W)``.

    Parameters
    ----------
    to
        Name of the library, for errors.
    activations, row_transforms
        What it can hold.
    subtracts_b_dec
        Whether it subtracts b_dec before it encodes; None if it does either.

    Raises
    ------
    UsageError
        If the library cannot hold this dictionary.
    """
    facts = dictionary.facts
    refuse_transcoder(dictionary, to)
    _refuse(dictionary, to, activations, row_transforms)
    weights = {key: tensor.double().cpu() for key, tensor in dictionary.named_buffers()}
    W_enc_SDF, b_enc_F, W_dec_FSD = weights["W_enc"], weights["b_enc"], weights["W_dec"]
    threshold_F = weights.get("threshold")
    if threshold_F is not None and "rank" in weights:
        threshold_F = threshold_F / weights["rank"]
    if "latent_scale" in weights:
        scale_F = weights["latent_scale"]
        W_enc_SDF, b_enc_F, W_dec_FSD = W_enc_SDF / scale_F, b_enc_F / scale_F, W_dec_FSD * scale_F[:, None, None]
        threshold_F = None if threshold_F is None else threshold_F / scale_F
    if subtracts_b_dec is not None and subtracts_b_dec != facts.subtracts_b_dec:
        shift_F = torch.einsum("sd,sdf->f", weights["b_dec"], W_enc_SDF)
        b_enc_F = b_enc_F + shift_F if subtracts_b_dec else b_enc_F - shift_F
    return PlainWeights(
        W_enc_SDF.float().contiguous(),
        b_enc_F.float().contiguous(),
        W_dec_FSD.float().contiguous(),
        weights["b_dec"].float().contiguous(),
        None if threshold_F is None else threshold_F.float().contiguous(),
    )


def refuse_transcoder(dictionary: TrainedDictionary, to: str) -> None:
    """Raise `UsageError` for a dictionary that writes other sites than it reads."""
    if is_transcoder(dictionary):
        raise errors.UsageError(
            f"{to} has no transcoders, and this dictionary reads {', '.join(dictionary.reads)} and writes "
            f"{', '.join(dictionary.writes)}; export it to 'saelens' (relu, jumprelu), 'sparsify' (topk) or "
            "'safetensors', which holds every dictionary"
        )


def _refuse(
    dictionary: TrainedDictionary, to: str, activations: Collection[str], row_transforms: Collection[RowTransform]
) -> None:
    """Raise `UsageError` if a library cannot hold a dictionary."""
    facts = dictionary.facts
    name = facts.activation.name
    if name not in activations:
        raise errors.UsageError(
            f"{to} has no {name} dictionaries, only "
            f"{', '.join(sorted(activations))}; export it to 'safetensors', which holds every dictionary"
        )
    if facts.row_transform not in row_transforms:
        raise errors.UsageError(
            f"{to} cannot transform each row ({facts.row_transform}), and weights cannot hold it; export it to "
            "'saelens' or to 'safetensors'"
        )
    kept = [key for key in ("rank", "latent_scale") if getattr(dictionary, key) is not None]
    if name == "topk" and kept:
        raise errors.UsageError(
            f"{to} keeps the K largest activations of a row; this dictionary has `{kept[0]}`, by which other latents "
            "are kept or codes are divided, and weights cannot hold that; export it to 'safetensors'"
        )
