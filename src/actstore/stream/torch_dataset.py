"""A stream as a dataset of torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from actstore.errors import StreamError
from actstore.stream.cursor import Cursor
from actstore.stream.stream import Stream

__all__ = ["StreamDataset", "TensorBatch"]


class TensorBatch(NamedTuple):
    """Rows of one training step."""

    values_BSD: Tensor
    """Decoded activations, float32 [B, S, D]; used again three batches later, unless the stream copies."""
    row_B: Tensor
    """Global row, int64."""
    sequence_B: Tensor
    """Row of the sequence in `sequences.parquet`, int64."""


class StreamDataset(IterableDataset[TensorBatch]):
    """The batches of one epoch, each time it is iterated.

    Batches are complete, and threads of the stream fetch them ahead. Give the dataset to a `DataLoader` with
    ``batch_size=None`` and without workers, or iterate it directly. It can be saved and restored by loaders that keep
    the state of their dataset (`state_dict`, `load_state_dict`).

    Parameters
    ----------
    stream
        From `open_stream`; the dataset is its only consumer.

    Examples
    --------
    ::

        with open_stream("store", rank=rank, world_size=world_size) as stream:
            for batch in DataLoader(StreamDataset(stream), batch_size=None):
                ...
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return self._stream.batches_per_epoch

    def __iter__(self) -> Iterator[TensorBatch]:
        """Yield the rest of the current epoch.

        Raises
        ------
        StreamError
            In a worker process: each would deliver every row.
        """
        if get_worker_info() is not None:
            raise StreamError("a stream fetches in its own threads; use a DataLoader with num_workers=0")
        for batch in self._stream:
            yield TensorBatch(
                torch.as_tensor(batch.values_BSD), torch.from_numpy(batch.row_B), torch.from_numpy(batch.sequence_B)
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the position of the next batch."""
        return self._stream.cursor.to_json()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a position; raises `CursorError` if it belongs to another stream."""
        self._stream.seek(Cursor.from_json(state))
