"""Facts that `recipe.json` holds: of the corpus, of each split, and how the encoding was calibrated."""

from __future__ import annotations

from typing import Annotated, Final, Self

import numpy as np
from pydantic import Field, model_validator

from actstore.contracts.planes import Calibration
from actstore.contracts.recipe import MOST_INTEGER
from actstore.store.format.vectors import Document, Vector32

__all__ = ["CalibrationFacts", "CompressionFacts", "CorpusFacts", "SplitFacts"]

_DIGEST: Final = Field(pattern=r"^[0-9a-f]{64}$")
_Count = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
_LEAST_CHANNEL: Final = 1e-30
_MOST_CALIBRATED: Final = 1e30
"""A level is at most 127 times a scale of at most 65,504 away from the centre: within float32 by far."""


class CorpusFacts(Document):
    """Facts of the corpus that was read."""

    digest: str = _DIGEST
    sequences: _Count
    residues: _Count
    skipped: dict[str, _Count]


class SplitFacts(Document):
    """One split: a run of whole tasks."""

    sequences: _Count
    rows: _Count
    first_task: _Count
    tasks: _Count


class CalibrationFacts(Document):
    """Centre and channel scale of one site, float32 [D]."""

    center: Vector32
    channel: Vector32

    @model_validator(mode="after")
    def _decodes_to_finite_values(self) -> Self:
        """Refuse scales of zero, and numbers so large that decoded values are not finite."""
        if not (np.abs(self.center) <= _MOST_CALIBRATED).all():
            raise ValueError(f"a centre exceeds {_MOST_CALIBRATED:g}")
        if not ((self.channel >= _LEAST_CHANNEL) & (self.channel <= _MOST_CALIBRATED)).all():
            raise ValueError(f"the scale of a channel is not within {_LEAST_CHANNEL:g} and {_MOST_CALIBRATED:g}")
        return self

    def to_calibration(self) -> Calibration:
        """Return the arrays."""
        return Calibration(self.center, self.channel)


class CompressionFacts(Document):
    """Compressed sizes of the values of the first task, if the recipe says `auto`."""

    rows: int = Field(ge=1, le=MOST_INTEGER)
    """Rows that were compressed."""
    value_bytes: dict[str, Annotated[int, Field(ge=1, le=MOST_INTEGER)]]
    """Bytes of their values at all sites by compressor; `none` is uncompressed."""

    @model_validator(mode="after")
    def _has_a_base(self) -> Self:
        if "none" not in self.value_bytes:
            raise ValueError("value_bytes has no 'none'")
        return self

    @property
    def ratios(self) -> dict[str, float]:
        """Compression ratio of each compressor."""
        plain = self.value_bytes["none"]
        return {name: plain / size for name, size in self.value_bytes.items() if name != "none"}
