"""A stream as a dataset of torch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from actstore.errors import StreamError
from actstore.stream.cursor import Cursor
from actstore.stream.stream import FETCHES_ITSELF, Stream

__all__ = ["StreamDataset", "TensorBatch"]


class TensorBatch(NamedTuple):
    """Rows of one training step."""

    values_BSD: Tensor
    """Decoded activations, float32 [B, S, D]."""
    row_B: Tensor
    """Global row, int64."""
    sequence_B: Tensor
    """Row of the sequence in `sequences.parquet`, int64."""
    position_B: Tensor
    """Place of the residue in its sequence, counted from 0, int32."""
    token_B: Tensor
    """What the model read there: the tokenizer's number of the residue, int16."""


class StreamDataset(IterableDataset[TensorBatch]):
    """The batches of one epoch, each time it is iterated.

    Batches are complete, and threads of the stream fetch them ahead. Give the dataset to a `DataLoader` with
    ``batch_size=None`` and without workers, to a `Trainer` of Lightning, or iterate it directly. It can be saved and
    restored by loaders that keep the state of their dataset (`state_dict`, `load_state_dict`).

    Parameters
    ----------
    stream
        From `open_stream`; the dataset is its only consumer.

    Examples
    --------
    ::

        with open_stream("store") as stream:
            for batch in DataLoader(StreamDataset(stream), batch_size=None):
                ...
    """

    def __init__(self, stream: Stream) -> None:
        if not hasattr(stream, "batches_per_epoch"):
            raise StreamError(f"StreamDataset takes a stream, not {stream!r:.80}; give it open_stream(...)")
        self._stream = stream

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._stream.batches_per_epoch

    def __iter__(self) -> Iterator[TensorBatch]:
        """Yield the batches of the next epoch; after `load_state_dict`, those from its position on.

        Raises
        ------
        StreamError
            In a worker process, since each would deliver every row; and if the loader collects batches into batches.
        """
        if get_worker_info() is not None:
            raise StreamError(FETCHES_ITSELF)
        # The loader iterates its dataset in a fetcher, which alone knows the loader's batch_size.
        fetcher = sys._getframe(1).f_locals.get("self")  # noqa: SLF001 - its documented way to find the caller
        if getattr(fetcher, "auto_collation", False):
            raise StreamError(
                f"the batches of a stream are complete ({self._stream.batch_rows:,} rows); use a DataLoader with "
                "batch_size=None, and choose the rows of a batch with open_stream(..., batch_rows=...)"
            )
        return self._batches()

    def _batches(self) -> Iterator[TensorBatch]:
        for values_BSD, *columns in self._stream:
            yield TensorBatch(torch.as_tensor(values_BSD), *map(torch.from_numpy, columns))

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the next batch."""
        return self._stream.cursor.to_json()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a position; raises `CursorError` if it belongs to another stream."""
        self._stream.seek(Cursor.from_json(state))
