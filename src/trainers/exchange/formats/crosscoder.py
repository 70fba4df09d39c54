"""Crosscoders: the layout of the public replications of model diffing, and that of the dictionary_learning fork."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder, named
from trainers.exchange.formats.foreign import (
    PROVENANCE,
    Foreign,
    check_shapes,
    provenance,
    said_provenance,
    threshold_of,
)
from trainers.exchange.formats.plain import plain_weights, refuse_transcoder
from trainers.exchange.trained import TrainedDictionary
from trainers.save.tensors import tensor_names

__all__ = ["read_crosscoder", "recognise_crosscoder", "write_crosscoder"]

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "cc_weights.pt"
_VERSION: Final = re.compile(r"(\d+)\.pt")
"""Checkpoints of the replications, beside `N_cfg.json`."""
_FORK: Final = ("model.safetensors", "ae.pt")
_RANKS: Final = {1: "sum", 2: "flat", 4: "none"}
"""`code_normalization_id` of the fork: by which norm of the decoder a BatchTopK crosscoder ranks its latents."""


def recognise_crosscoder(folder: ForeignFolder) -> bool:
    """Return whether the folder has a crosscoder in a layout that nobody else uses."""
    return folder.has(CONFIG, WEIGHTS) or bool(_versions(folder)) or folder.has("config.json", "model.safetensors")


def read_crosscoder(folder: ForeignFolder) -> Foreign:
    """Read a crosscoder.

    Raises
    ------
    CheckpointError
        If it is damaged, or of another kind.
    """
    weights_file = _weights_file(folder)
    version = _VERSION.fullmatch(weights_file)
    configs = [f"{version[1]}_cfg.json"] if version else [CONFIG, "config.json"]
    config = next((folder.json(name) for name in configs if folder.has(name)), {})
    tensors = folder.tensors(weights_file)
    weights, activation, notes = _forked(folder, tensors) if "encoder.weight" in tensors else _plain(folder, tensors)
    hook = named(config.get("hook_point"))
    return Foreign(
        weights=weights,
        activation=activation,
        subtracts_b_dec=False,
        model=named(config.get("model_name")),
        sites=(hook,) if hook is not None and len(weights["W_enc"]) == 1 else None,
        said=said_provenance(folder, config),
        notes=notes | {"config": config},
    )


def write_crosscoder(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `cfg.json` and `cc_weights.pt`, as the public replications of model diffing have them, into a folder.

    Raises
    ------
    UsageError
        If the layout cannot hold the dictionary: it says no activation, and means ReLU.
    """
    refuse_transcoder(dictionary, "the crosscoder layout")
    facts = dictionary.facts
    refuse_transcoder(dictionary, "the crosscoder layout")
    if facts.activation.name != "relu":
        kept = "the K largest of each row" if facts.activation.k is not None else "those above a threshold"
        raise errors.UsageError(
            "the crosscoder layout says no activation, and whoever loads it computes ReLU; this "
            f"{facts.dictionary} keeps only {kept} ({facts.activation.name}), so its codes there would be others; "
            "export it to 'safetensors' (--to safetensors), which holds every dictionary"
        )
    weights = plain_weights(dictionary, to="the crosscoder layout", activations=("relu",), subtracts_b_dec=False)
    state = {
        "W_enc": weights.W_enc_SDF,
        "W_dec": weights.W_dec_FSD,
        "b_enc": weights.b_enc_F,
        "b_dec": weights.b_dec_SD,
    }
    config: dict[str, Any] = {
        "dict_size": facts.latents,
        "d_in": facts.width,
        "n_models": len(facts.sites),
        "enc_dtype": "fp32",
        "dec_init_norm": 0.08,
        "seed": 0,
        "device": "cpu",
        "model_name": None if facts.model is None else facts.model.name,
        "hook_point": ", ".join(site.module or site.name for site in facts.sites),
        PROVENANCE: provenance(facts),
    }
    torch.save(state, path / WEIGHTS)
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _versions(folder: ForeignFolder) -> list[int]:
    """Return the checkpoints of a replication that have a configuration."""
    found = [int(match[1]) for name in folder.names(".pt") if (match := _VERSION.fullmatch(name))]
    return sorted(number for number in found if folder.has(f"{number}_cfg.json"))


def _weights_file(folder: ForeignFolder) -> str:
    if folder.chosen is not None:
        return folder.chosen
    if folder.has(WEIGHTS):
        return WEIGHTS
    if versions := _versions(folder):
        return f"{versions[-1]}.pt"
    for name in _FORK:
        if folder.has(name):
            return name
    raise errors.CheckpointError(
        f"{folder}: no weights of a crosscoder: {WEIGHTS}, N.pt with N_cfg.json, or {', '.join(_FORK)}; give the file"
    )


def _plain(
    folder: ForeignFolder, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Activation, dict[str, Any]]:
    """Return weights of ``W_enc`` [M, D, F] and ``W_dec`` [F, M, D]."""
    if "W_enc" not in tensors or tensors["W_enc"].ndim != 3:
        raise errors.CheckpointError(f"{folder}: no W_enc [models, features, latents]; found {tensor_names(tensors)}")
    sites, width, latents = tensors["W_enc"].shape
    check_shapes(
        folder,
        tensors,
        {
            "W_enc": (sites, width, latents),
            "b_enc": (latents,),
            "W_dec": (latents, sites, width),
            "b_dec": (sites, width),
        },
    )
    return dict(tensors), Activation(name="relu"), {}


def _forked(
    folder: ForeignFolder, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Activation, dict[str, Any]]:
    """Return weights of ``encoder.weight`` [L, D, F] and ``decoder.weight`` [L, F, D]."""
    if tensors["encoder.weight"].ndim != 3:
        raise errors.CheckpointError(f"{folder}: encoder.weight is no [layers, features, latents]")
    sites, width, latents = tensors["encoder.weight"].shape
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.weight": (sites, width, latents),
        "encoder.bias": (latents,),
        "decoder.weight": (sites, latents, width),
        "decoder.bias": (sites, width),
    }
    batch = "threshold" in tensors
    shapes |= {"k": (), "threshold": ()} if batch else {}
    shapes |= {name: () for name in ("code_normalization_id",) if name in tensors}
    check_shapes(folder, tensors, shapes)
    weights = {
        "W_enc": tensors["encoder.weight"],
        "b_enc": tensors["encoder.bias"],
        "W_dec": tensors["decoder.weight"].transpose(0, 1).contiguous(),
        "b_dec": tensors["decoder.bias"],
    }
    if not batch:
        return weights, Activation(name="relu"), {}
    number = int(tensors.get("code_normalization_id", torch.tensor(1)))
    if number not in _RANKS:
        raise errors.CheckpointError(
            f"{folder}: code_normalization_id {number}; only 1 (CROSSCODER), 2 (SAE) and 4 (NONE) can be read"
        )
    weights["threshold"] = threshold_of(folder, tensors["threshold"], latents)
    norm_FS = torch.linalg.vector_norm(weights["W_dec"].double(), dim=2)
    if _RANKS[number] != "none":
        rank_F = norm_FS.sum(dim=1) if _RANKS[number] == "sum" else norm_FS.square().sum(dim=1).sqrt()
        weights["rank"] = rank_F.float()
    note = f"of a BatchTopK crosscoder with k = {int(tensors['k'])}, estimated in its training: the tensor `threshold`"
    return weights, Activation(name="jumprelu"), {"threshold": note}
