"""Transcoders from one site to another, as SAELens and sparsify hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from actstore import errors
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.formats.foreign import PROVENANCE, provenance
from trainers.exchange.trained import TrainedDictionary
from trainers.save.files import save_tensors

__all__ = ["is_transcoder", "transcoder_to_saelens", "transcoder_to_sparsify"]

_CONFIG: Final = "cfg.json"
_SAELENS_LAYOUT: Final = "6.0.0"
"""The version since which folders look like this."""


def is_transcoder(dictionary: TrainedDictionary) -> bool:
    """Return whether a dictionary writes other sites than it reads, or not by its latents alone."""
    facts = dictionary.facts
    return facts.read != facts.written or facts.layered or dictionary.W_skip is not None


def transcoder_to_saelens(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `cfg.json` and `sae_weights.safetensors`, as the transcoders of SAELens have them, into a folder.

    Raises
    ------
    UsageError
        If it is not from one site to one, or keeps K latents of a row, which no transcoder of SAELens does.
    """
    facts, activation = dictionary.facts, dictionary.facts.activation.name
    if activation == "topk" and not facts.layered:
        raise errors.UsageError(
            "SAELens has no topk transcoders, only relu and jumprelu; export it to 'sparsify', or to 'safetensors', "
            "which holds every dictionary"
        )
    tensors = _plain(dictionary, to="SAELens")
    skip = dictionary.W_skip is not None
    names = {("relu", False): "transcoder", ("relu", True): "skip_transcoder"}
    names |= {("jumprelu", False): "jumprelu_transcoder", ("jumprelu", True): "jumprelu_skip_transcoder"}
    read, written = _module(facts, facts.read[0]), _module(facts, facts.written[0])
    config: dict[str, Any] = {
        "architecture": names[activation, skip],
        "d_in": facts.width,
        "d_out": facts.width,
        "d_sae": facts.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": _SAELENS_LAYOUT,
            "sae_lens_training_version": None,
            "model_name": None if facts.model is None else facts.model.name,
            "hook_name": read,
            "hook_name_out": written,
            "hook_head_index": None,
            PROVENANCE: provenance(facts),
        },
    }
    _write(path, "sae_weights.safetensors", tensors, config)


def transcoder_to_sparsify(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `cfg.json` and `sae.safetensors`, as the transcoders of sparsify have them, into a folder.

    Raises
    ------
    UsageError
        If it is not from one site to one, or does not keep the K largest latents of a row.
    """
    facts = dictionary.facts
    if facts.activation.k is None or dictionary.rank is not None:
        raise errors.UsageError(
            f"sparsify keeps the K largest activations of a row, and this is a {facts.activation.name} transcoder "
            f"{'with `rank`' if dictionary.rank is not None else ''}; export it to 'safetensors', which holds every "
            "dictionary"
        )
    tensors = _plain(dictionary, to="sparsify")
    config = {
        "activation": "topk",
        "expansion_factor": max(1, facts.latents // facts.width),
        "normalize_decoder": False,
        "num_latents": facts.latents,
        "k": facts.activation.k,
        "multi_topk": False,
        "skip_connection": dictionary.W_skip is not None,
        "transcode": True,
        "d_in": facts.width,
        PROVENANCE: provenance(facts),
    }
    named = {"encoder.weight": tensors["W_enc"].T.contiguous(), "encoder.bias": tensors["b_enc"]}
    _write(path, "sae.safetensors", named | {key: tensors[key] for key in tensors if key not in _ENCODER}, config)


_ENCODER: Final = frozenset({"W_enc", "b_enc"})


def _plain(dictionary: TrainedDictionary, *, to: str) -> dict[str, Tensor]:
    """Return W_enc [D, F], b_enc [F], W_dec [F, D], b_dec [D], and W_skip [D, D] from the read site on axis 1."""
    facts = dictionary.facts
    if facts.layered or len(facts.read) != 1 or len(facts.written) != 1:
        kind = "cross-layer transcoders" if facts.layered else "transcoders of several sites"
        raise errors.UsageError(
            f"{to} has no {kind} ({', '.join(facts.read)} to {', '.join(facts.written)}); export it to 'safetensors', "
            "which holds every dictionary"
        )
    kept = [key for key in ("rank", "latent_scale") if getattr(dictionary, key) is not None]
    if kept or facts.subtracts_b_dec or facts.row_transform != "none":
        what = kept[0] if kept else "b_dec subtracted" if facts.subtracts_b_dec else facts.row_transform
        raise errors.UsageError(
            f"transcoders of {to} have no {what}; export it to 'safetensors', which holds every dictionary"
        )
    own = {key: tensor.float().cpu().contiguous() for key, tensor in dictionary.named_buffers()}
    tensors = own | {"W_enc": own["W_enc"][0], "W_dec": own["W_dec"][:, 0].contiguous(), "b_dec": own["b_dec"][0]}
    return tensors | ({"W_skip": own["W_skip"].T.contiguous()} if "W_skip" in own else {})


def _module(facts: DictionaryFacts, name: str) -> str:
    site = next(site for site in facts.sites if site.name == name)
    return site.module or site.name


def _write(path: Path, weights: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    save_tensors(path / weights, dict(tensors))
    (path / _CONFIG).write_text(json.dumps(config, indent=2) + "\n")
