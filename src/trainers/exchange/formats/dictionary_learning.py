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
    is rescaled when it is loaded, which changes codes. A gated one is written as GatedAutoEncoder.

    Raises
    ------
    UsageError
        If dictionary_learning cannot hold the dictionary.
    """
    facts = dictionary.facts
    topk, gated = facts.activation.k is not None, is_gated(facts)
    sae = plain_sae(
        dictionary, to="dictionary_learning", activations=("topk", "relu", "jumprelu"), subtracts_b_dec=topk or gated
    )
    state = _topk_state(sae, facts) if topk else _gated_state(sae) if gated else _jumprelu_state(sae)
    folder = path / "trainer_0"
    folder.mkdir()
    torch.save(state, folder / WEIGHTS)
    config = {
        "trainer": {
            "trainer_class": "TopKTrainer" if topk else "GatedSAETrainer" if gated else "JumpReluTrainer",
            "dict_class": "AutoEncoderTopK" if topk else "GatedAutoEncoder" if gated else "JumpReluAutoEncoder",
            "activation_dim": facts.width,
            "dict_size": facts.latents,
            **({"k": facts.activation.k} if topk else {}),
            "device": "cpu",
            "layer": _layer(facts),
            "lm_name": "" if facts.model is None else facts.model.name,
            "submodule_name": facts.sites[0].module or facts.sites[0].name,
        },
        "buffer": {"d_submodule": facts.width, "io": "out", "ctx_len": None, "device": "cpu"},
        PROVENANCE: provenance(facts),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def _topk_state(sae: PlainSae, facts: DictionaryFacts) -> dict[str, Any]:
    return {
        "k": torch.tensor(facts.activation.k, dtype=torch.int),
        "threshold": torch.tensor(-1.0),
        "decoder.weight": sae.W_dec_FD.T.contiguous(),
        "encoder.weight": sae.W_enc_DF.T.contiguous(),
        "encoder.bias": sae.b_enc_F,
        "b_dec": sae.b_dec_D,
    }


def _jumprelu_state(sae: PlainSae) -> dict[str, Any]:
    return {
        "W_enc": sae.W_enc_DF,
        "b_enc": sae.b_enc_F,
        "W_dec": sae.W_dec_FD,
        "b_dec": sae.b_dec_D,
        "threshold": torch.zeros_like(sae.b_enc_F) if sae.threshold_F is None else sae.threshold_F,
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
