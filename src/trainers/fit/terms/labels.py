"""Labels of residues: what they are, and the labels of the rows of a batch."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from trainers.fit.rows.places import RowPlaces

__all__ = ["MOST_CLASSES", "LabelColumn", "LabelFacts", "LabelledRows", "Labels", "column_facts"]

MOST_CLASSES = 1000

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class LabelColumn(_Facts):
    """One label of residues."""

    name: str
    kind: Literal["bool", "category", "float"]
    classes: tuple[str, ...] = Field(default=(), max_length=MOST_CLASSES)
    """Of a category."""
    start: tuple[float, ...]
    """Biases of the probe that knows no code: log odds, log shares of the classes, or the mean."""
    unit: float = Field(gt=0)
    """Loss of that probe on the labels: entropy in nats, or variance."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.start) != (len(self.classes) if self.kind == "category" else 1):
            raise ValueError(f"label {self.name}: {len(self.start)} outputs for {len(self.classes)} classes")
        return self

    @property
    def outputs(self) -> int:
        """Numbers that a probe predicts for it."""
        return len(self.start)


class LabelFacts(_Facts):
    """What decides the labels of a run; part of its plan."""

    sha256: _Digest
    """Of the file."""
    residues: int = Field(ge=1)
    """Labelled residues of the split, whether they have a row or not."""
    columns: tuple[LabelColumn, ...] = Field(min_length=1)

    @property
    def outputs(self) -> int:
        """Numbers L that a probe predicts for a row."""
        return sum(column.outputs for column in self.columns)


class LabelledRows(NamedTuple):
    """The rows of a batch that have labels."""

    index_R: NDArray[np.int64]
    """Their indices in the batch."""
    value_RC: NDArray[np.float64]
    """0 or 1, the number of a class, or a value, for each column; NaN where there is no label."""


class Labels:
    """The labels of residues of one split.

    Parameters
    ----------
    facts
        What they are.
    places
        Residues that have labels, each once, in any order.
    value_NC
        As `LabelledRows.value_RC`.
    """

    def __init__(self, facts: LabelFacts, places: RowPlaces, value_NC: NDArray[np.float64]) -> None:
        self.facts = facts
        key_N = places.key_B
        order_N = np.argsort(key_N, kind="stable")
        self._key_N, self._value_NC = key_N[order_N], value_NC[order_N]

    def of(self, places: RowPlaces) -> LabelledRows:
        """Return the rows of a batch that have labels."""
        key_B = places.key_B
        found_B = np.minimum(np.searchsorted(self._key_N, key_B), len(self._key_N) - 1)
        index_R = np.flatnonzero(self._key_N[found_B] == key_B)
        return LabelledRows(index_R, self._value_NC[found_B[index_R]])


def column_facts(
    name: str, kind: Literal["bool", "category", "float"], value_N: NDArray[np.float64], classes: tuple[str, ...] = ()
) -> LabelColumn | None:
    """Return what a probe needs to know of a label; None if all its values are equal, so that nothing can be learned.

    Parameters
    ----------
    value_N
        Numbers as in `LabelledRows`; NaN where there is no label.

    Examples
    --------
    >>> column_facts("helix", "bool", np.array([0.0, 1.0, np.nan])).start
    (0.0,)
    """
    known_N = value_N[~np.isnan(value_N)]
    if not len(known_N) or (known_N == known_N[0]).all():
        return None
    if kind == "float":
        return LabelColumn(name=name, kind=kind, start=(float(known_N.mean()),), unit=float(known_N.var()))
    count_C = np.bincount(known_N.astype(np.int64), minlength=len(classes) or 2).astype(np.float64)
    share_C = count_C / count_C.sum()
    entropy = -float((share_C[count_C > 0] * np.log(share_C[count_C > 0])).sum())
    if kind == "bool":
        return LabelColumn(name=name, kind=kind, start=(float(np.log(share_C[1] / share_C[0])),), unit=entropy)
    start = tuple(np.log(np.maximum(share_C, 0.5 / count_C.sum())).tolist())
    return LabelColumn(name=name, kind=kind, classes=classes, start=start, unit=entropy)
