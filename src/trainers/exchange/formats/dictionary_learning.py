"""dictionary_learning: `trainer_0/ae.pt` and `trainer_0/config.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch

from actstore import errors
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.formats.folder import ForeignFolder, named
from trainers.exchange.formats.foreign import PROVENANCE, Foreign, provenance, said_provenance, whole_number
from trainers.exchange.formats.gated import gate_of, is_gated
from trainers.exchange.formats.plain import PlainSae, plain_sae
from trainers.exchange.formats.state_dicts import Architecture, of_state_dict
from trainers.exchange.trained import TrainedDictionary
from trainers.save.tensors import shown

__all__ = ["read_dictionary_learning", "recognise_dictionary_learning", "write_dictionary_learning"]

CONFIG: Final = "config.json"
WEIGHTS: Final = "ae.pt"
_CLASSES: Final[Mapping[str, Architecture]] = {
    "AutoEncoder": "relu",
    "AutoEncoderNew": "relu-no-bias",
    "AutoEncoderTopK": "topk",
    "BatchTopKSAE": "batch-topk",
    "MatryoshkaBatchTopKSAE": "matryoshka",
    "JumpReluAutoEncoder": "jumprelu",
    "GatedAutoEncoder": "gated",
}


_TRAINERS: Final[Mapping[str, str]] = {
    "AutoEncoderTopK": "TopKTrainer",
    "BatchTopKSAE": "BatchTopKTrainer",
    "MatryoshkaBatchTopKSAE": "MatryoshkaBatchTopKTrainer",
    "GatedAutoEncoder": "GatedSAETrainer",
    "JumpReluAutoEncoder": "JumpReluTrainer",
}
"""Classes that are written, and what trains them there."""


def recognise_dictionary_learning(folder: ForeignFolder) -> bool:
    """Return whether the folder is one of dictionary_learning."""
    return folder.has(CONFIG, WEIGHTS)


def read_dictionary_learning(folder: ForeignFolder) -> Foreign:
    """Read the folder of one trainer; codes are those of `dictionary_learning.utils.load_dictionary`.

    Raises
    ------
    CheckpointError
        If it is damaged, of a class that is none of ours, or a BatchTopK dictionary without a threshold.
    """
    config = folder.json(CONFIG)
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    dict_class = trainer.get("dict_class")
    if not isinstance(dict_class, str) or dict_class not in _CLASSES:
        raise errors.CheckpointError(
            f"{folder}: trainer.dict_class is {shown(repr(dict_class))}; only {', '.join(_CLASSES)} can be read"
        )
    tensors = folder.tensors(WEIGHTS)
    found = of_state_dict(folder, tensors, _CLASSES[dict_class])
    if "k" in tensors:
        whole_number(folder, trainer, "k", wanted=int(tensors["k"]))
    weights, notes = dict(found.weights), {**found.notes, "config": config}
    norm_F = torch.linalg.vector_norm(weights["W_dec"], dim=(1, 2))
    if dict_class == "AutoEncoder" and not torch.allclose(norm_F, torch.ones_like(norm_F)):
        # As its from_pretrained does.
        weights["W_enc"], weights["b_enc"] = weights["W_enc"] * norm_F, weights["b_enc"] * norm_F
        weights["W_dec"] = weights["W_dec"] / norm_F[:, None, None]
        notes["codes"] = "activations times the norm of the decoder, as dictionary_learning returns them"
    return Foreign(
        weights=weights,
        activation=found.activation,
        subtracts_b_dec=found.subtracts_b_dec,
        model=named(trainer.get("lm_name")),
        said=said_provenance(folder, config),
        notes=notes,
    )


def write_dictionary_learning(dictionary: TrainedDictionary, path: Path) -> None:
    """Write `trainer_0/ae.pt` and `trainer_0/config.json` into a folder.

    A ReLU dictionary is written as JumpReluAutoEncoder with thresholds of 0, which is the same: the class AutoEncoder
    is rescaled when it is loaded, which changes codes. A gated one is written as GatedAutoEncoder. A BatchTopK
    dictionary keeps its class, and its groups, if one threshold serves all latents; otherwise it is a
    JumpReluAutoEncoder with the same codes.

    Raises
    ------
    UsageError
        If dictionary_learning cannot hold the dictionary.
    """
    facts = dictionary.facts
    dict_class, kept = _class_of(dictionary)
    sae = plain_sae(
        dictionary,
        to="dictionary_learning",
        activations=("topk", "relu", "jumprelu"),
        subtracts_b_dec=dict_class != "JumpReluAutoEncoder",
    )
    folder = path / "trainer_0"
    folder.mkdir()
    torch.save(_state(dict_class, sae, kept, facts), folder / WEIGHTS)
    config = {
        "trainer": {
            "trainer_class": _TRAINERS[dict_class],
            "dict_class": dict_class,
            "activation_dim": facts.width,
            "dict_size": facts.latents,
            **({} if kept is None else {"k": kept}),
            "device": "cpu",
            "layer": _layer(facts),
            "lm_name": "" if facts.model is None else facts.model.name,
            "submodule_name": facts.sites[0].module or facts.sites[0].name,
        },
        "buffer": {"d_submodule": facts.width, "io": "out", "ctx_len": None, "device": "cpu"},
        PROVENANCE: provenance(facts),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _class_of(dictionary: TrainedDictionary) -> tuple[str, int | None]:
    """Return the class that holds a dictionary, and its k."""
    facts = dictionary.facts
    if facts.activation.k is not None:
        return "AutoEncoderTopK", facts.activation.k
    if is_gated(facts):
        return "GatedAutoEncoder", None
    batch, limit_F = facts.batch_topk, dictionary.threshold
    one_limit = limit_F is not None and bool((limit_F == limit_F[0]).all()) and float(limit_F[0]) > 0
    plain = dictionary.rank is None and dictionary.latent_scale is None
    if batch is None or not (one_limit and plain and float(batch.k).is_integer()):
        return "JumpReluAutoEncoder", None
    return "MatryoshkaBatchTopKSAE" if batch.groups else "BatchTopKSAE", int(batch.k)


def _state(dict_class: str, sae: PlainSae, kept: int | None, facts: DictionaryFacts) -> dict[str, Any]:
    if dict_class == "GatedAutoEncoder":
        return _gated_state(sae)
    if dict_class == "JumpReluAutoEncoder" or kept is None:
        return _matrices(sae) | {
            "threshold": torch.zeros_like(sae.b_enc_F) if sae.threshold_F is None else sae.threshold_F
        }
    limit = -1.0 if sae.threshold_F is None else float(sae.threshold_F[0])
    choice = {"k": torch.tensor(kept, dtype=torch.int), "threshold": torch.tensor(limit)}
    if dict_class == "MatryoshkaBatchTopKSAE" and facts.batch_topk is not None:
        return _matrices(sae) | choice | {"group_sizes": torch.tensor(facts.batch_topk.groups)}
    return choice | {
        "decoder.weight": sae.W_dec_FD.T.contiguous(),
        "encoder.weight": sae.W_enc_DF.T.contiguous(),
        "encoder.bias": sae.b_enc_F,
        "b_dec": sae.b_dec_D,
    }


def _matrices(sae: PlainSae) -> dict[str, Any]:
    return {
        "W_enc": sae.W_enc_DF,
        "b_enc": sae.b_enc_F,
        "W_dec": sae.W_dec_FD,
        "b_dec": sae.b_dec_D,
    }


def _gated_state(sae: PlainSae) -> dict[str, Any]:
    gate = gate_of(sae)
    return {
        "encoder.weight": sae.W_enc_DF.T.contiguous(),
        "decoder.weight": sae.W_dec_FD.T.contiguous(),
        "decoder_bias": sae.b_dec_D,
        "gate_bias": gate.b_gate_F,
        "mag_bias": gate.b_mag_F,
        "r_mag": gate.r_mag_F,
    }


def _layer(facts: DictionaryFacts) -> int | None:
    """Return the number of the block, if module or site end in one; None otherwise."""
    found = re.search(r"\.(\d+)$", facts.sites[0].module or "") or re.search(r"\.(\d+)$", facts.sites[0].name)
    return int(found[1]) if found else None
