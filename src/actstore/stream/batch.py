"""One batch of rows, as a consumer gets it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.errors import StreamError

__all__ = ["Batch"]


class Batch(NamedTuple):
    """Rows of one training step.

    A batch stays valid as long as it is kept. With `reuse=True`, the third batch after it overwrites its values.
    """

    values_BSD: Any
    """Decoded activations, float32 [B, S, D]: an array, or a tensor if the stream has a device."""
    row_B: NDArray[np.int64]
    """Global row: the index into the store's row arrays."""
    sequence_B: NDArray[np.int64]
    """Row of the sequence in `sequences.parquet`."""
    position_B: NDArray[np.int32]
    """Place of the residue in its sequence, counted from 0."""
    token_B: NDArray[np.int16]
    """What the model read there: the tokenizer's number of the residue."""

    @property
    def values_BD(self) -> Any:  # noqa: ANN401 - as `values_BSD`
        """The activations of a stream of one site, [B, D]: a view.

        Raises
        ------
        StreamError
            If there are several sites.
        """
        if self.values_BSD.shape[1] != 1:
            raise StreamError(f"this stream has {self.values_BSD.shape[1]} sites; take one of them from values_BSD")
        return self.values_BSD[:, 0]
