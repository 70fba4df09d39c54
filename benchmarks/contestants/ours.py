"""Our own stream as it comes: `open_stream` with its defaults except the size of the buffer; and with its ring."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Literal

import pyarrow.parquet  # noqa: F401 - what a stream imports when it is opened, so that it does not count as its memory
import torch  # noqa: F401

from actstore.stream.open import open_stream
from benchmarks.contestants.contract import Contestant, Delivered, Setting, Variant, site_name

__all__ = [
    "Ours",
    "open_float16",
    "open_float16_reuse",
    "open_float16_uniform",
    "open_float16_uniform_reuse",
    "open_int8",
    "open_int8_uniform",
]

Order = Literal["windows", "uniform"]


def open_float16(setting: Setting) -> Contestant:
    """Open the float16 store in the default order."""
    return Ours(setting, encoding="float16", order="windows")


def open_float16_uniform(setting: Setting) -> Contestant:
    """Open the float16 store in uniform order."""
    return Ours(setting, encoding="float16", order="uniform")


def open_float16_reuse(setting: Setting) -> Contestant:
    """Open the float16 store in the default order, with batches that are overwritten."""
    return Ours(setting, encoding="float16", order="windows", reuse=True)


def open_float16_uniform_reuse(setting: Setting) -> Contestant:
    """Open the float16 store in uniform order, with batches that are overwritten."""
    return Ours(setting, encoding="float16", order="uniform", reuse=True)


def open_int8(setting: Setting) -> Contestant:
    """Open the int8 store in the default order."""
    return Ours(setting, encoding="int8", order="windows")


def open_int8_uniform(setting: Setting) -> Contestant:
    """Open the int8 store in uniform order."""
    return Ours(setting, encoding="int8", order="uniform")


class Ours:
    """A stream of the training split, one iteration for each epoch."""

    variants: Sequence[Variant] = ({},)

    def __init__(self, setting: Setting, *, encoding: str, order: Order, reuse: bool = False) -> None:
        workload = setting.workload
        self._stream = open_stream(
            str(setting.folder / encoding),
            sites=[site_name(site) for site in range(workload.sites)],
            batch_rows=workload.batch_rows,
            seed=setting.seed,
            buffer_bytes=workload.buffer_bytes,
            order=order,
            reuse=reuse,
        )
        self.rows = self._stream.rows

    def use(self, variant: Variant) -> None:
        """Nothing to choose."""

    def epoch(self, number: int) -> Generator[Delivered]:  # noqa: ARG002 - the stream counts its epochs itself
        """Yield every row once."""
        for batch in self._stream:
            yield Delivered(batch.values_BSD, batch.row_B)

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        return self._stream.report().path == "buffered"

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()
