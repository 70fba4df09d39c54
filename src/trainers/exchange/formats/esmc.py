"""SAEs of ESMC: `config.json` and `layer_{i}.safetensors` for each layer."""

from __future__ import annotations

import re
from typing import Final

import torch

from actstore import errors
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign, check_shapes, whole_number
from trainers.save.tensors import shown, tensor_names

__all__ = ["read_esmc", "recognise_esmc"]

CONFIG: Final = "config.json"
_LAYER: Final = re.compile(r"layer_(\d+)\.safetensors")
_DISPLAY: Final = ("idf", "max")
"""By which displays scale a latent: ``idf / max``. Codes are without it."""


def recognise_esmc(folder: ForeignFolder) -> bool:
    """Return whether the folder is one of ESMC's SAEs."""
    return folder.has(CONFIG) and bool(_layers(folder))


def read_esmc(folder: ForeignFolder) -> Foreign:
    """Read the SAE of one layer. Each row is z-scored over its features before it is encoded.

    Raises
    ------
    CheckpointError
        If it is damaged, of another kind, or of several layers none of which was chosen.
    """
    config = folder.json(CONFIG)
    if config.get("model_type") != "esmc_sae":
        raise errors.CheckpointError(
            f"{folder}: model_type is {shown(repr(config.get('model_type')))}; expected esmc_sae"
        )
    layers = _layers(folder)
    name = folder.chosen or (layers[0] if len(layers) == 1 else None)
    if name is None:
        raise errors.CheckpointError(f"{folder}: several layers; give the file of one: {', '.join(layers[:40])}")
    tensors = folder.tensors(name)
    if "W_enc" not in tensors or tensors["W_enc"].ndim != 2:
        raise errors.CheckpointError(f"{folder}: no matrix W_enc; found {tensor_names(tensors)}")
    width, latents = tensors["W_enc"].shape
    shapes: dict[str, tuple[int, ...]] = {
        "W_enc": (width, latents),
        "W_dec": (latents, width),
        "b_dec": (width,),
    }
    check_shapes(folder, tensors, shapes | {key: (latents,) for key in _DISPLAY if key in tensors})
    whole_number(folder, config, "d_model", wanted=width)
    whole_number(folder, config, "codebook_dim", wanted=latents)
    k = whole_number(folder, config, "k")
    if k > latents:
        raise errors.CheckpointError(f"{folder}: k is {k:,}, of {latents:,} latents")
    return Foreign(
        weights={
            "W_enc": tensors["W_enc"].reshape(1, width, latents),
            "b_enc": torch.zeros(latents),
            "W_dec": tensors["W_dec"].reshape(latents, 1, width),
            "b_dec": tensors["b_dec"].reshape(1, width),
        },
        activation=Activation(name="topk", k=k),
        subtracts_b_dec=True,
        row_transform="row-zscore",
        notes={"config": config, "file": name, "left_out": "idf and max, by which displays scale a latent"},
    )


def _layers(folder: ForeignFolder) -> list[str]:
    """Return the files of layers, in order of their numbers."""
    found = {int(match[1]): name for name in folder.names(".safetensors") if (match := _LAYER.fullmatch(name))}
    return [found[number] for number in sorted(found)]
