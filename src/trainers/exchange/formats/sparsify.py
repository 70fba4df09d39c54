"""sparsify (eai-sparsify): `cfg.json` and `sae.safetensors` of one hookpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from actstore import errors
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import (
    PROVENANCE,
    Foreign,
    check_shapes,
    provenance,
    said_provenance,
    whole_number,
)
from trainers.exchange.formats.plain import plain_sae
from trainers.exchange.trained import TrainedDictionary
from trainers.save.files import save_tensors
from trainers.save.tensors import shown, tensor_names

__all__ = ["read_sparsify", "recognise_sparsify", "write_sparsify"]

CONFIG: Final = "cfg.json"
WEIGHTS: Final = "sae.safetensors"


def recognise_sparsify(folder: ForeignFolder) -> bool:
    """Return whether the folder is one of sparsify."""
    return folder.has(CONFIG, WEIGHTS)


def read_sparsify(folder: ForeignFolder) -> Foreign:
    """Read a folder that `SparseCoder.save_to_disk` wrote.

    Raises
    ------
    CheckpointError
        If it is damaged, a transcoder, or not TopK.
    """
    config = folder.json(CONFIG)
    for name, wanted in (("activation", "topk"), ("transcode", False), ("skip_connection", False)):
        if config.get(name, wanted) != wanted:
            raise errors.CheckpointError(
                f"{folder}: {name} is {shown(repr(config[name]))}; only TopK autoencoders without skip can be read"
            )
    tensors = folder.tensors(WEIGHTS)
    if "encoder.weight" not in tensors or tensors["encoder.weight"].ndim != 2:
        raise errors.CheckpointError(f"{folder}: no matrix encoder.weight; found {tensor_names(tensors)}")
    latents, width = tensors["encoder.weight"].shape
    check_shapes(
        folder,
        tensors,
        {
            "encoder.weight": (latents, width),
            "encoder.bias": (latents,),
            "W_dec": (latents, width),
            "b_dec": (width,),
        },
    )
    whole_number(folder, config, "d_in", wanted=width)
    k = whole_number(folder, config, "k")
    if k > latents:
        raise errors.CheckpointError(f"{folder}: k is {k:,}, of {latents:,} latents")
    return Foreign(
        weights={
            "W_enc": tensors["encoder.weight"].T.reshape(1, width, latents).contiguous(),
            "b_enc": tensors["encoder.bias"],
            "W_dec": tensors["W_dec"].reshape(latents, 1, width),
            "b_dec": tensors["b_dec"].reshape(1, width),
        },
        activation=Activation(name="topk", k=k),
        subtracts_b_dec=True,
        said=said_provenance(folder, config),
        notes={"config": config},
    )


def write_sparsify(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `cfg.json` and `sae.safetensors` into a folder.

    Raises
    ------
    UsageError
        If sparsify cannot hold the dictionary.
    """
    facts = dictionary.facts
    sae = plain_sae(dictionary, to="sparsify", activations=("topk",), subtracts_b_dec=True)
    config = {
        "activation": "topk",
        "expansion_factor": max(1, facts.latents // facts.width),
        "normalize_decoder": False,
        "num_latents": facts.latents,
        "k": facts.activation.k,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": facts.width,
        PROVENANCE: provenance(facts),
    }
    tensors = {
        "encoder.weight": sae.W_enc_DF.T.contiguous(),
        "encoder.bias": sae.b_enc_F,
        "W_dec": sae.W_dec_FD,
        "b_dec": sae.b_dec_D,
    }
    save_tensors(path / WEIGHTS, tensors)
    (path / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
