"""Peers that read the float16 store itself, which is plain Zarr: zarr-python, the zarrs pipeline, TensorStore.

Spans of whole chunks from all tasks are read into a shuffle buffer. Each peer is tried with results of its own, which
are then copied, and reading straight into the buffer; with several numbers of threads; and the fastest way counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any, Final

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.buffer.cpu import NDBuffer

from benchmarks.contestants.contract import Contestant, Setting, Variant, site_name
from benchmarks.contestants.fills import FillLoader, Span, deal_spans, fill_rows

__all__ = [
    "SpanFiller",
    "TensorStoreFiller",
    "ZarrFiller",
    "open_tensorstore",
    "open_zarr",
    "open_zarrs",
    "open_zarrs_plain",
]

_SLOW_ROWS: Final = 4
"""Tasks that zarr-python's own pipeline is measured on where a row has all sites."""


def open_zarr(setting: Setting) -> Contestant:
    """Open zarr-python with its own codec pipeline."""
    return FillLoader(setting, ZarrFiller(setting, rows=_part(setting)))


def open_zarrs(setting: Setting) -> Contestant:
    """Open zarr-python with the pipeline of the package zarrs, which is written in Rust."""
    _use_zarrs()
    return FillLoader(setting, ZarrFiller(setting, rows=setting.workload.rows))


def open_zarrs_plain(setting: Setting) -> Contestant:
    """Open the same as one does at first: arrays of their own from each read, and a gather into new memory."""
    _use_zarrs()
    filler = ZarrFiller(setting, rows=setting.workload.rows)
    filler.variants = [variant for variant in filler.variants if not variant["into_buffer"]]
    return FillLoader(setting, filler, plain=True)


def open_tensorstore(setting: Setting) -> Contestant:
    """Open TensorStore."""
    return FillLoader(setting, TensorStoreFiller(setting, rows=setting.workload.rows))


def _use_zarrs() -> None:
    import_module("zarrs")
    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})


def _part(setting: Setting) -> int:
    workload = setting.workload
    return workload.rows if workload.sites == 1 else min(workload.rows, _SLOW_ROWS * setting.scale.task_rows)


class SpanFiller:
    """Deals the spans of the first `rows` rows into fills."""

    variants: Sequence[Variant] = ({},)

    def __init__(self, setting: Setting, *, rows: int) -> None:
        self.rows = rows
        self.groups = setting.workload.sites
        self._setting = setting
        self._spans: Iterator[Span] = iter(())

    def use(self, variant: Variant) -> None:
        """Nothing to choose."""

    def begin(self, epoch: int) -> None:
        """Deal the spans of an epoch."""
        scale = self._setting.scale
        spans = deal_spans(
            self.rows,
            task_rows=scale.task_rows,
            chunk_rows=scale.chunk_rows,
            fill=fill_rows(self._setting.workload),
            seed=[self._setting.seed, epoch],
        )
        self._spans = iter(spans)

    def fill(self, values_GRX: NDArray[np.float16], row_R: NDArray[np.int64]) -> int:
        """Read the next spans."""
        places: list[tuple[Span, int]] = []
        filled = 0
        while filled < len(row_R) and (span := next(self._spans, None)) is not None:
            places.append((span, filled))
            row_R[filled : filled + span.stop - span.start] = np.arange(span.start, span.stop)
            filled += span.stop - span.start
        self.read(places, values_GRX)
        return filled

    def read(self, places: Sequence[tuple[Span, int]], values_GRX: NDArray[np.float16]) -> None:
        """Read each span to its first row in the buffer, for every site."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to release."""


class ZarrFiller(SpanFiller):
    """Basic selections of whole chunks, several at a time."""

    variants: Sequence[Variant] = tuple(
        {"threads": threads, "into_buffer": into} for into, threads in itertools.product((True, False), (1, 2, 4))
    )

    def __init__(self, setting: Setting, *, rows: int) -> None:
        super().__init__(setting, rows=rows)
        root = zarr.open_group(setting.folder / "float16", mode="r")
        self._arrays: list[Any] = [root[f"sites/{site_name(site)}/values"] for site in range(self.groups)]
        self._pool = ThreadPoolExecutor(4)
        self._variant = self.variants[0]

    def use(self, variant: Variant) -> None:
        """Take a number of threads and a kind of result."""
        self._variant = variant
        self._pool.shutdown()
        self._pool = ThreadPoolExecutor(variant["threads"])

    def read(self, places: Sequence[tuple[Span, int]], values_GRX: NDArray[np.float16]) -> None:
        """Read each span to its first row in the buffer, for every site."""
        read_one = self._into_buffer if self._variant["into_buffer"] else self._copied

        def read(site: int, place: tuple[Span, int]) -> None:
            span, first = place
            read_one(site, span, values_GRX[site, first : first + span.stop - span.start])

        list(self._pool.map(lambda one: read(*one), itertools.product(range(self.groups), places)))

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown()

    def _into_buffer(self, site: int, span: Span, out_RX: Any) -> None:  # noqa: ANN401 - zarr has a type of its own
        self._arrays[site].get_basic_selection((slice(span.start, span.stop), slice(None)), out=NDBuffer(out_RX))

    def _copied(self, site: int, span: Span, out_RX: NDArray[np.float16]) -> None:
        out_RX[:] = self._arrays[site][span.start : span.stop]


class TensorStoreFiller(SpanFiller):
    """All spans of a fill at once, as futures; TensorStore has its own threads."""

    variants: Sequence[Variant] = tuple(
        {"copy_threads": threads, "into_buffer": into} for into, threads in itertools.product((True, False), (2, 4))
    )

    def __init__(self, setting: Setting, *, rows: int) -> None:
        super().__init__(setting, rows=rows)
        self._tensorstore: Any = import_module("tensorstore")
        self._arrays: list[Any] = []
        self._variant = self.variants[0]
        self.use(self._variant)

    def use(self, variant: Variant) -> None:
        """Open the arrays with a number of threads, and take a kind of result."""
        self._variant = variant
        context = self._tensorstore.Context(
            {"data_copy_concurrency": {"limit": variant["copy_threads"]}, "file_io_concurrency": {"limit": 4}}
        )
        store = (self._setting.folder / "float16").resolve()
        self._arrays = [
            self._tensorstore.open(
                {"driver": "zarr3", "kvstore": f"file://{store}/sites/{site_name(site)}/values/"},
                context=context,
                open=True,
                read=True,
            ).result()
            for site in range(self.groups)
        ]

    def read(self, places: Sequence[tuple[Span, int]], values_GRX: NDArray[np.float16]) -> None:
        """Read each span to its first row in the buffer, for every site."""
        parts = [
            (self._arrays[site][span.start : span.stop], values_GRX[site, first : first + span.stop - span.start])
            for span, first in places
            for site in range(self.groups)
        ]
        if self._variant["into_buffer"]:
            for future in [self._tensorstore.array(out_RX).write(part) for part, out_RX in parts]:
                future.result()
            return
        for future, (_, out_RX) in zip([part.read() for part, _ in parts], parts, strict=True):
            out_RX[:] = future.result()
