"""InterPLM: `ae_normalized.pt`, `ae.pt` or `ae_unnormalized.pt`, and perhaps `config.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign
from trainers.exchange.formats.state_dicts import Architecture, of_state_dict

__all__ = ["read_interplm", "recognise_interplm"]

CONFIG: Final = "config.yaml"
_WEIGHTS: Final = ("ae_normalized.pt", "ae.pt", "ae_unnormalized.pt")
_RESCALE: Final = "activation_rescale_factor"
_SQRT_D: Final = "normalize_to_sqrt_d"
_BATCH: Final = re.compile(r"BatchTopK(SAE|Trainer)|batch_top_k")
_TOPK: Final = re.compile(r"(?<!Batch)TopK(SAE|Trainer)|(?<!batch_)top_k")
_SQRT_D_SET: Final = re.compile(rf"^\s*{_SQRT_D}:\s*true\s*$", re.MULTILINE | re.IGNORECASE)


def recognise_interplm(folder: ForeignFolder) -> bool:
    """Return whether the folder is one of InterPLM."""
    return not folder.has("config.json") and any(folder.has(name) for name in _WEIGHTS)


def read_interplm(folder: ForeignFolder) -> Foreign:
    """Read a folder of InterPLM, or one of its files.

    Codes are divided by `activation_rescale_factor`, the maximum of each latent over a corpus, if the file has one; a
    latent that never fired there keeps its activations. Published folders have no `config.yaml`; they are ReLU.

    Raises
    ------
    CheckpointError
        If it is damaged, of a class that is none of ours, or a BatchTopK dictionary without a threshold.
    """
    name = folder.chosen or next((one for one in _WEIGHTS if folder.has(one)), None)
    if name is None:
        raise errors.CheckpointError(f"{folder}: none of {', '.join(_WEIGHTS)}")
    text = folder.text(CONFIG) if folder.has(CONFIG) else ""
    tensors = folder.tensors(name)
    factor_F, sqrt_d = tensors.pop(_RESCALE, None), tensors.pop(_SQRT_D, None)
    found = of_state_dict(folder, tensors, _architecture(folder, tensors, text))
    weights, notes = dict(found.weights), {**found.notes, "file": name}
    if factor_F is not None and (scale_F := _scale(folder, factor_F, weights["b_enc"].shape, notes)) is not None:
        weights["latent_scale"] = scale_F
    scaled = bool(sqrt_d.reshape(-1)[:1].any()) if sqrt_d is not None else bool(_SQRT_D_SET.search(text))
    return Foreign(
        weights=weights,
        activation=found.activation,
        subtracts_b_dec=found.subtracts_b_dec,
        row_transform="row-sqrt-d" if scaled else "none",
        notes=notes,
    )


def _architecture(folder: ForeignFolder, tensors: Mapping[str, Tensor], text: str) -> Architecture:
    """Return what the state dict is of: its tensors say it, but for TopK and BatchTopK, which have the same."""
    if "k" in tensors:
        batch, topk = bool(_BATCH.search(text)), bool(_TOPK.search(text))
        if batch == topk:
            raise errors.CheckpointError(
                f"{folder}: TopK or BatchTopK? Both have these tensors, and {CONFIG} "
                f"{'names both' if batch else 'names neither'}; write TopKSAE or BatchTopKSAE into it"
            )
        return "batch-topk" if batch else "topk"
    if "threshold" in tensors:
        return "jumprelu-linear"
    return "relu" if "bias" in tensors else "relu-no-bias"


def _scale(folder: ForeignFolder, factor_F: Tensor, shape: tuple[int, ...], notes: dict[str, Any]) -> Tensor | None:
    """Return what codes are divided by; None if it is 1 for all."""
    if factor_F.shape != shape or not factor_F.is_floating_point() or bool((factor_F < 0).any()):
        raise errors.CheckpointError(f"{folder}: {_RESCALE} is no maximum of each of {shape[0]:,} latents")
    if bool((factor_F == 1).all()):
        return None
    notes["codes"] = f"activations divided by `{_RESCALE}`"
    return torch.where(factor_F == 0, torch.ones_like(factor_F), factor_F)
