"""SAELens 6: `cfg.json` and `sae_weights.safetensors`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import Activation, RowTransform
from trainers.exchange.formats.folder import ForeignFolder, named
from trainers.exchange.formats.foreign import (
    PROVENANCE,
    Foreign,
    check_shapes,
    provenance,
    said_provenance,
    threshold_of,
    whole_number,
)
from trainers.exchange.formats.plain import plain_sae
from trainers.exchange.trained import TrainedDictionary
from trainers.save.files import save_tensors
from trainers.save.tensors import shown, tensor_names

__all__ = ["read_saelens", "recognise_saelens", "write_saelens"]

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae_weights.safetensors"
_LAYOUT: Final = "6.0.0"
"""The version since which folders look like this."""
_TRAINING: Final = frozenset({"batchtopk", "matryoshka_batchtopk"})
"""Architectures of checkpoints of training; SAELens saves them as jumprelu at the end."""
_ARCHITECTURES: Final = frozenset({"standard", "topk", "jumprelu"}) | _TRAINING
_OF_HEADS: Final = (".hook_q", ".hook_k", ".hook_v", ".hook_z", ".hook_result", ".hook_rot_q", ".hook_rot_k")
"""Ends of the names of TransformerLens for activations [tokens, heads, features]."""
_NORMALISATIONS: Final[Mapping[str, RowTransform]] = {
    "none": "none",
    "layer_norm": "row-zscore",
    "constant_norm_rescale": "row-sqrt-d",
}


def recognise_saelens(folder: ForeignFolder) -> bool:
    """Return whether the folder is one of SAELens."""
    return folder.has(CONFIG, WEIGHTS)


def read_saelens(folder: ForeignFolder) -> Foreign:
    """Read a folder that `SAE.save_model`, or `save_inference_model` of a training SAE, wrote.

    Raises
    ------
    CheckpointError
        If it is damaged, of SAELens before 6, of an architecture that is none of ours, or of rows that no module
        returns.
    """
    config = folder.json(CONFIG)
    metadata = config.get("metadata")
    version = metadata.get("sae_lens_version") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not re.match(r"[6-9]|\d\d", str(version)):
        raise errors.CheckpointError(
            f"{folder}: written by SAELens before 6 (sae_lens_version {shown(repr(version))}); load it there with "
            "version 6 and save it again: SAE.load_from_disk(old).save_model(new)"
        )
    architecture = config.get("architecture")
    if not isinstance(architecture, str) or architecture not in _ARCHITECTURES:
        raise errors.CheckpointError(
            f"{folder}: architecture {shown(repr(architecture))}; only {', '.join(sorted(_ARCHITECTURES))} can be read"
        )
    _refuse_heads(folder, config, metadata)
    tensors = folder.tensors(WEIGHTS)
    width, latents = _shape(folder, config, tensors, architecture)
    weights = {
        "W_enc": tensors["W_enc"].reshape(1, width, latents),
        "b_enc": tensors["b_enc"],
        "W_dec": tensors["W_dec"].reshape(latents, 1, width),
        "b_dec": tensors["b_dec"].reshape(1, width),
    }
    notes: dict[str, Any] = {"config": config}
    activation = Activation(name="relu")
    if architecture == "topk":
        k = whole_number(folder, config, "k")
        if k > latents:
            raise errors.CheckpointError(f"{folder}: k is {k:,}, of {latents:,} latents")
        activation = Activation(name="topk", k=k)
    elif architecture != "standard":
        activation = Activation(name="jumprelu")
        weights["threshold"] = tensors.get("threshold", torch.zeros(0))
    if architecture in _TRAINING:
        weights["threshold"] = threshold_of(folder, tensors["topk_threshold"], latents)
        notes["threshold"] = f"of {architecture}, estimated in its training: the tensor `topk_threshold`"
    if config.get("rescale_acts_by_decoder_norm") is True:
        _scale_by_decoder_norm(weights)
        notes["codes"] = "activations times the norm of the decoder, as SAELens returns them"
    return Foreign(
        weights=weights,
        activation=activation,
        subtracts_b_dec=config.get("apply_b_dec_to_input", True) is not False,
        row_transform=_row_transform(folder, config),
        model=named(metadata.get("model_name")),
        sites=None if named(metadata.get("hook_name")) is None else (metadata["hook_name"],),
        said=said_provenance(folder, metadata),
        notes=notes,
    )


def write_saelens(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `cfg.json` and `sae_weights.safetensors` into a folder.

    Raises
    ------
    UsageError
        If SAELens cannot hold the dictionary.
    """
    facts = dictionary.facts
    sae = plain_sae(
        dictionary,
        to="SAELens",
        activations=("topk", "relu", "jumprelu"),
        row_transforms=tuple(_NORMALISATIONS.values()),
    )
    architecture = {"relu": "standard", "topk": "topk", "jumprelu": "jumprelu"}[facts.activation.name]
    config: dict[str, Any] = {
        "architecture": architecture,
        "d_in": facts.width,
        "d_sae": facts.latents,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": facts.subtracts_b_dec,
        "normalize_activations": {ours: theirs for theirs, ours in _NORMALISATIONS.items()}[facts.row_transform],
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": _LAYOUT,
            "sae_lens_training_version": None,
            "model_name": None if facts.model is None else facts.model.name,
            "hook_name": facts.sites[0].module or facts.sites[0].name,
            "hook_head_index": None,
            PROVENANCE: provenance(facts),
        },
    }
    if facts.activation.k is not None:
        config |= {"k": facts.activation.k, "rescale_acts_by_decoder_norm": False}
    tensors = {"W_enc": sae.W_enc_DF, "b_enc": sae.b_enc_F, "W_dec": sae.W_dec_FD, "b_dec": sae.b_dec_D}
    if sae.threshold_F is not None:
        tensors["threshold"] = sae.threshold_F
    save_tensors(path / WEIGHTS, tensors)
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _refuse_heads(folder: ForeignFolder, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Raise `CheckpointError` if the rows are those of attention heads, which are no output of a module."""
    hook, reshape = metadata.get("hook_name"), config.get("reshape_activations", "none")
    head = metadata.get("hook_head_index")
    if head is not None:
        found = f"hook_head_index is {shown(repr(head))}: its rows are those of one attention head"
    elif reshape not in (None, "none"):
        found = f"reshape_activations is {shown(repr(reshape))}: its rows are reshaped activations of attention heads"
    elif isinstance(hook, str) and hook.endswith(_OF_HEADS):
        found = f"hook_name is {shown(repr(hook))}: its rows are activations of attention heads"
    else:
        return
    raise errors.CheckpointError(
        f"{folder}: {found}, and a site is what a module returns, [tokens, features], so the dictionary would read "
        "other rows. Use it in SAELens; if a module of your model does return these rows, set hook_head_index to null, "
        "reshape_activations to none and hook_name to its name in cfg.json, and name it with --site and --module"
    )


def _shape(
    folder: ForeignFolder, config: Mapping[str, Any], tensors: Mapping[str, Tensor], architecture: str
) -> tuple[int, int]:
    """Return width and latents, after the tensors were checked."""
    if "W_enc" not in tensors or tensors["W_enc"].ndim != 2:
        raise errors.CheckpointError(f"{folder}: no matrix W_enc; found {tensor_names(tensors)}")
    width, latents = tensors["W_enc"].shape
    whole_number(folder, config, "d_in", wanted=width)
    whole_number(folder, config, "d_sae", wanted=latents)
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (width, latents),
        "b_enc": (latents,),
        "W_dec": (latents, width),
        "b_dec": (width,),
    }
    if architecture == "jumprelu":
        shapes["threshold"] = (latents,)
    elif architecture in _TRAINING:
        shapes["topk_threshold"] = ()
    check_shapes(folder, tensors, shapes)
    return width, latents


def _scale_by_decoder_norm(weights: dict[str, Tensor]) -> None:
    """Multiply activations by the norm of the decoder, and divide the decoder by it."""
    norm_F = torch.linalg.vector_norm(weights["W_dec"].double(), dim=(1, 2))
    weights["W_enc"] = (weights["W_enc"] * norm_F).float()
    weights["b_enc"] = (weights["b_enc"] * norm_F).float()
    weights["W_dec"] = (weights["W_dec"] / norm_F.clamp_min(torch.finfo(torch.float32).tiny)[:, None, None]).float()


def _row_transform(folder: ForeignFolder, config: Mapping[str, Any]) -> RowTransform:
    found = config.get("normalize_activations", "none")
    if found == "expected_average_only_in":
        raise errors.CheckpointError(
            f"{folder}: its rows are multiplied by a factor that the folder does not hold "
            "(normalize_activations = expected_average_only_in). Fold it in SAELens "
            "(sae.fold_activation_norm_scaling_factor), or set normalize_activations to none in cfg.json and give the "
            "factor with --input-scale"
        )
    if not isinstance(found, str) or found not in _NORMALISATIONS:
        raise errors.CheckpointError(
            f"{folder}: normalize_activations is {shown(repr(found))}; only {', '.join(_NORMALISATIONS)} can be read"
        )
    return _NORMALISATIONS[found]
