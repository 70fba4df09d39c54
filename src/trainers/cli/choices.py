"""Choices of options about rows."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BiasStartChoice", "NormalisationChoice"]


class NormalisationChoice(StrEnum):
    """Choices of --normalisation."""

    UNIT = "unit"
    SQRT_D = "sqrt_d"
    NONE = "none"
    ROW_ZSCORE = "row-zscore"
    ROW_NORM = "row-norm"


class BiasStartChoice(StrEnum):
    """Choices of --b-dec-start."""

    MEAN = "mean"
    GEOMETRIC_MEDIAN = "geometric-median"
