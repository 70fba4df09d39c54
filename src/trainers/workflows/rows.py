"""Open the rows of a run: from a store, or from the model itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from actstore import Manifest, Progress, Seat, SiteStatistics, Stream, StreamRequest, open_manifest, open_stream
from trainers.workflows.rows_plan import RowsPlan

if TYPE_CHECKING:
    from actstore import LiveSource

__all__ = ["Rows", "open_rows"]

_ALL_ROWS: Final = Seat(0, 1)
"""Every process of a run scores all rows, so that all of them know the score."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Streams on the splits of one store, for one run."""

    plan: RowsPlan
    manifest: Manifest
    origin: Manifest
    """Manifest with the origin of the rows; if rows are computed, as it was before the first task."""
    live: LiveSource | None

    def open(self) -> Stream:
        """Open the stream to train on. All of it is read, so the number of computations of each row is limited."""
        return self._open(self.plan.request, most_passes=1.0 if self.plan.live is None else self.plan.live.most_passes)

    def open_for_scoring(self, split: str) -> Stream:
        """Open a stream on a split that is read in part, without a limit on computations of each row."""
        return self._open(dataclasses.replace(self.plan.request, split=split, seat=_ALL_ROWS), most_passes=math.inf)

    def open_first(self, split: str, rows: int, *, row_bytes: int, seed: int | None = None) -> Stream:
        """Open a stream on a split of which only the first rows are read, with a buffer for not many more.

        They come from windows of shards that are spread evenly over the split.

        Parameters
        ----------
        row_bytes
            Bytes of a row of all sites in float32.
        seed
            Of the order; None for that of training.
        """
        request = self.plan.request
        batch_rows = min(request.batch_rows, rows)
        # Half of the buffer holds the rows, and an encoded row is smaller than a decoded one, except for tiny widths.
        enough = 4 * row_bytes * rows
        request = dataclasses.replace(
            request,
            split=split,
            seat=_ALL_ROWS,
            batch_rows=batch_rows,
            buffer_bytes=min(request.buffer_bytes, enough),
            seed=request.seed if seed is None else seed,
        )
        return self._open(request, most_passes=math.inf)

    def statistics(self, progress: Progress) -> Mapping[str, SiteStatistics]:
        """Return the statistics of the rows; if the store has none yet, compute some."""
        return self.manifest.statistics if self.live is None else self.live.statistics(progress=progress)

    def has_whole(self, split: str) -> bool:
        """Return whether a split has rows, and all of them are available."""
        facts = self.manifest.splits.get(split)
        return facts is not None and facts.rows > 0 and (self.live is not None or self.manifest.complete)

    def finish(self, split: str, progress: Progress) -> dict[str, Any] | None:
        """Complete a store if the run has filled `split`; return what was computed, or None if all rows are read."""
        if self.live is None:
            return None
        complete = self.live.finish(split, progress=progress)
        return {**self.live.report()._asdict(), "store_complete": complete}

    def _open(self, request: StreamRequest, *, most_passes: float) -> Stream:
        if self.live is not None:
            return self.live.open_stream(request, most_passes=most_passes)
        return open_stream(
            self.manifest,
            **{field.name: getattr(request, field.name) for field in dataclasses.fields(request)},
            allow_incomplete=self.plan.allow_incomplete,
            storage_options=self.plan.storage_options,
            cache=self.plan.cache,
            cache_bytes=self.plan.cache_bytes,
        )


@contextmanager
def open_rows(plan: RowsPlan, progress: Progress) -> Iterator[Rows]:
    """Open a store, or a source of rows that are computed.

    Raises
    ------
    ActstoreError
        As `open_manifest` and `open_live`.
    """
    if plan.live is None:
        manifest = open_manifest(plan.source, uri=plan.uri, storage_options=plan.storage_options)
        yield Rows(plan, manifest, manifest, live=None)
        return
    from actstore import open_live  # noqa: PLC0415 - imports the rooms of models, which takes a second

    with open_live(
        plan.source,
        uri=plan.uri,
        mode=plan.live.mode,
        model=plan.live.model,
        device=plan.live.device,
        recipe_options=plan.live.recipe_options,
        storage_options=plan.storage_options,
        cache=plan.cache,
        cache_bytes=plan.cache_bytes,
        progress=progress,
    ) as live:
        yield Rows(plan, live.manifest, live.planned, live)
