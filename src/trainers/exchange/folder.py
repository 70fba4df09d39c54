"""The folder of a trained dictionary: `dictionary.json`, `dictionary.safetensors` and a card."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from pydantic import ValidationError

from actstore import errors
from trainers.exchange.card import model_card
from trainers.exchange.facts import DictionaryFacts
from trainers.exchange.new_folder import new_folder
from trainers.exchange.trained import OPTIONAL_WEIGHTS, TrainedDictionary, weight_shapes
from trainers.save.files import file_sha256, save_tensors
from trainers.save.tensors import check_tensors, on_cpu, read_tensors, shown, tensor_names

__all__ = ["CARD", "FACTS", "WEIGHTS", "read_folder", "write_folder"]

FACTS: Final = "dictionary.json"
WEIGHTS: Final = "dictionary.safetensors"
CARD: Final = "README.md"
_MOST_FACTS_BYTES: Final = 1 << 24


def write_folder(dictionary: TrainedDictionary, path: Path) -> None:
    """Write a dictionary into a new folder, complete or not at all, with a card; without the path of a local model.

    Raises
    ------
    UsageError
        If the folder exists and is not empty.
    TrainingError
        If it cannot be written.
    """
    with new_folder(path) as partial:
        weights = on_cpu({name: tensor.float() for name, tensor in dictionary.named_buffers()})
        save_tensors(partial / WEIGHTS, weights)
        facts = dictionary.facts.public.model_copy(update={"tensors_sha256": file_sha256(partial / WEIGHTS)})
        (partial / FACTS).write_text(facts.model_dump_json(indent=2) + "\n")
        (partial / CARD).write_text(model_card(facts))


def read_folder(path: Path) -> TrainedDictionary:
    """Read a dictionary that `write_folder` wrote.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or not the one that was written.
    """
    facts = _read_facts(path / FACTS)
    weights = read_tensors(path / WEIGHTS, facts.tensors_sha256, said_by=FACTS)
    shapes = weight_shapes(facts)
    optional = {name: (facts.latents,) for name in OPTIONAL_WEIGHTS if name in weights}
    if (facts.activation.name == "jumprelu") != ("threshold" in weights):
        raise errors.CheckpointError(f"{path}: activation {facts.activation.name}, and weights {tensor_names(weights)}")
    with torch.device("meta"):
        wanted = {name: torch.empty(shape) for name, shape in (shapes | optional).items()}
    check_tensors(path / WEIGHTS, weights, wanted)
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise errors.CheckpointError(f"{path / WEIGHTS}: {name} holds NaN or Inf")
    return TrainedDictionary(facts, weights)


def _read_facts(path: Path) -> DictionaryFacts:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_FACTS_BYTES + 1)
        if len(data) > _MOST_FACTS_BYTES:
            raise errors.CheckpointError(f"{path}: more than {_MOST_FACTS_BYTES:,} bytes; this is no dictionary")
        return DictionaryFacts.model_validate_json(data, strict=True)
    except OSError as error:
        raise errors.CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = shown(".".join(str(part) for part in first["loc"]))
        raise errors.CheckpointError(f"{path}: {where}: {shown(first['msg'])}") from error
