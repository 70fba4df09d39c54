"""What the folder of another library says about its dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import Activation, DictionaryFacts, Provenance, RowTransform
from trainers.exchange.formats.folder import ForeignFolder
from trainers.save.tensors import shown, tensor_names

__all__ = ["PROVENANCE", "Foreign", "check_shapes", "provenance", "said_provenance", "threshold_of", "whole_number"]

PROVENANCE: Final = "actstore"
"""Key below which our exports keep in the configuration of others what these have no word for."""
_MOST: Final = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A dictionary as a folder has it: weights with our names and shapes, and what the folder says about them."""

    weights: Mapping[str, Tensor]
    """As `TrainedDictionary` takes them, for the rows that the folder means."""
    activation: Activation
    subtracts_b_dec: bool
    row_transform: RowTransform = "none"
    model: str | None = None
    """Name of the parent model; None if the folder does not say it."""
    sites: tuple[str, ...] | None = None
    """Names of the sites; None if the folder does not say them."""
    said: Provenance | None = None
    """What an export of ours says."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What happened to the weights or the activation on the way, and the configuration of the folder."""


def provenance(facts: DictionaryFacts) -> dict[str, Any]:
    """Return what an export keeps for whoever imports it again."""
    return Provenance(
        model=facts.model,
        sites=facts.sites,
        input_scale=facts.input_scale,
        manifests=facts.manifests,
        training=facts.training,
        metrics=facts.metrics,
        licence=facts.licence,
        citation=facts.citation,
        origin=facts.origin,
    ).model_dump(mode="json")


def said_provenance(folder: ForeignFolder, document: Mapping[str, Any]) -> Provenance | None:
    """Return what an export of ours says in a configuration; None if it is from somebody else.

    Raises
    ------
    CheckpointError
        If it is malformed.
    """
    if PROVENANCE not in document:
        return None
    try:
        return Provenance.model_validate(document[PROVENANCE])
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = shown(".".join(str(part) for part in (PROVENANCE, *first["loc"])))
        raise errors.CheckpointError(f"{folder}: {where}: {shown(first['msg'])}") from error


def check_shapes(folder: ForeignFolder, found: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise `CheckpointError` unless a file has exactly these tensors, in these shapes."""
    if found.keys() != wanted.keys():
        raise errors.CheckpointError(f"{folder}: holds {tensor_names(found)}; expected {', '.join(sorted(wanted))}")
    for name, shape in wanted.items():
        if tuple(found[name].shape) != shape:
            raise errors.CheckpointError(f"{folder}: {name} is {list(found[name].shape)}; expected {list(shape)}")
        if name not in _WHOLE and not found[name].is_floating_point():
            raise errors.CheckpointError(f"{folder}: {name} is {found[name].dtype}; weights are real numbers")


_WHOLE: Final = frozenset({"k", "group_sizes", "normalize_to_sqrt_d", "code_normalization_id"})
"""Tensors that are no weights."""


def whole_number(folder: ForeignFolder, document: Mapping[str, Any], name: str, *, wanted: int | None = None) -> int:
    """Return a whole number of a configuration, at least 1.

    Raises
    ------
    CheckpointError
        If it is missing, something else, or not the number that is `wanted`, which the weights say.
    """
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST:
        raise errors.CheckpointError(f"{folder}: {name} is {shown(repr(value))}; expected a whole number")
    if wanted is not None and value != wanted:
        raise errors.CheckpointError(f"{folder}: {name} is {value}, and the weights have {wanted}; it is damaged")
    return value


def threshold_of(folder: ForeignFolder, threshold: Tensor, latents: int) -> Tensor:
    """Return the threshold of a BatchTopK dictionary for each latent [F].

    Raises
    ------
    CheckpointError
        If training did not get as far as to estimate one.
    """
    if threshold.numel() != 1:
        raise errors.CheckpointError(f"{folder}: threshold is {list(threshold.shape)}; expected one number")
    value = float(threshold)
    if value <= 0:
        raise errors.CheckpointError(
            f"{folder}: this BatchTopK dictionary has no threshold ({value:g}): training ended before one was "
            "estimated, and without it a code depends on the other rows of its batch. Train it further, or set the "
            "threshold in the file"
        )
    return threshold.reshape(1).expand(latents).clone()
