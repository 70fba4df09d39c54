"""Folders of other libraries, written as their documentation says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.trainers.exchange.made import LATENTS, WIDTH, draw

Tensors = dict[str, Tensor]


def write(folder: Path, files: Mapping[str, Mapping[str, Any] | str]) -> Path:
    """Write a folder: tensors into `.pt` and `.safetensors`, documents into `.json`, text into anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / name
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".safetensors":
            save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
        elif path.suffix == ".pt":
            torch.save(dict(content), path)
        else:
            path.write_text(json.dumps(content))
    return folder


def linear(bias: str | None = "bias") -> Tensors:
    """Return the state dict of dictionary_learning and InterPLM: `encoder`, `decoder`, and a bias of this name."""
    return {
        "encoder.weight": draw(LATENTS, WIDTH, seed=1),
        "encoder.bias": draw(LATENTS, seed=2),
        "decoder.weight": draw(WIDTH, LATENTS, seed=3),
        **({} if bias is None else {bias: draw(WIDTH, seed=4)}),
    }


def matrices() -> Tensors:
    """Return the tensors of SAELens: `W_enc`, `b_enc`, `W_dec`, `b_dec`."""
    return {
        "W_enc": draw(WIDTH, LATENTS, seed=1),
        "b_enc": draw(LATENTS, seed=2),
        "W_dec": draw(LATENTS, WIDTH, seed=3),
        "b_dec": draw(WIDTH, seed=4),
    }


def kept(k: int = 4, threshold: float = -1.0) -> Tensors:
    """Return the buffers of TopK and BatchTopK dictionaries."""
    return {"k": torch.tensor(k, dtype=torch.int), "threshold": torch.tensor(threshold)}


def saelens_config(architecture: str = "standard", **changes: Any) -> dict[str, Any]:
    """Return a `cfg.json` of SAELens."""
    return {
        "architecture": architecture,
        "d_in": WIDTH,
        "d_sae": LATENTS,
        "dtype": "float32",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "peer/model",
            "hook_name": "blocks.3.hook_resid_post",
        },
    } | changes


def trainer_config(dict_class: str, **changes: Any) -> dict[str, Any]:
    """Return a `config.json` of dictionary_learning."""
    return {"trainer": {"dict_class": dict_class, "lm_name": "peer/model", "k": 4} | changes, "buffer": {"ctx_len": 1}}


def crosscoder(sites: int = 2) -> Tensors:
    """Return the tensors of the replications of model diffing."""
    return {
        "W_enc": draw(sites, WIDTH, LATENTS, seed=1),
        "b_enc": draw(LATENTS, seed=2),
        "W_dec": draw(LATENTS, sites, WIDTH, seed=3),
        "b_dec": draw(sites, WIDTH, seed=4),
    }
