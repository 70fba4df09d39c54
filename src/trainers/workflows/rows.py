"""Where the rows of a run come from: a store, or the model itself."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from actstore import (
    LiveSource,
    Manifest,
    Progress,
    SiteStatistics,
    Stream,
    StreamRequest,
    errors,
    open_live,
    open_manifest,
    open_stream,
)
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions, choose_device

__all__ = ["Rows", "open_rows"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Streams on the splits of one store, for one run."""

    manifest: Manifest
    origin: Manifest
    """What says where rows came from: the manifest, or what it was before the first task where rows are computed."""
    live: LiveSource | None
    config: TrainConfig
    options: RunOptions

    def open(self, split: str, *, device: torch.device | None = None, whole: bool = True) -> Stream:
        """Open a stream on a split.

        Parameters
        ----------
        split
            Name of the split.
        device
            Where training runs.
        whole
            Whether all of it will be read, so that it matters how often rows are computed.
        """
        # On a GPU the buffer is there too, unless the order is one that has no buffer.
        on_device = device is not None and device.type == "cuda" and self.config.order == "windows"
        request = StreamRequest(
            sites=self.config.sites,
            batch_rows=self.config.batch_rows,
            seed=self.config.seed,
            split=split,
            buffer_bytes=self.options.buffer_bytes,
            order=self.config.order,
            device=str(device) if on_device else None,
        )
        if self.live is not None:
            return self.live.open_stream(request, most_passes=self.options.most_passes if whole else math.inf)
        return open_stream(
            self.manifest,
            sites=request.sites,
            batch_rows=request.batch_rows,
            seed=request.seed,
            split=request.split,
            buffer_bytes=request.buffer_bytes,
            order=request.order,
            device=request.device,
            allow_incomplete=self.options.allow_incomplete,
            storage_options=self.options.storage_options,
            cache=self.options.cache,
            cache_bytes=self.options.cache_bytes,
        )

    def statistics(self, progress: Progress) -> Mapping[str, SiteStatistics]:
        """Return what the rows are like; where there are none yet, some are computed."""
        return self.manifest.statistics if self.live is None else self.live.statistics(progress=progress)

    def has_whole(self, split: str) -> bool:
        """Return whether a split has rows, and all of them can be had."""
        facts = self.manifest.splits.get(split)
        return facts is not None and facts.rows > 0 and (self.live is not None or self.manifest.complete)

    def finish(self, progress: Progress) -> dict[str, Any] | None:
        """Complete a store that the run has filled; return what was computed, None where nothing could be."""
        if self.live is None:
            return None
        complete = self.live.finish(self.config.split, progress=progress)
        return {**self.live.report()._asdict(), "store_complete": complete}


@contextmanager
def open_rows(
    source: str | os.PathLike[str], config: TrainConfig, options: RunOptions, progress: Progress
) -> Iterator[Rows]:
    """Open a store, or with `options.live` a source of rows that are computed.

    Raises
    ------
    UsageError
        If options contradict each other.
    ActstoreError
        Whatever `open_manifest` and `open_live` raise.
    """
    if options.live is None:
        manifest = open_manifest(source, storage_options=options.storage_options)
        yield Rows(manifest, manifest, None, config, options)
        return
    if options.allow_incomplete and options.live != "online":
        raise errors.UsageError("rows that are missing are either computed or left out; drop allow_incomplete")
    with open_live(
        source,
        mode=options.live,
        device=str(choose_device(options.model_device)),
        recipe_options=options.recipe_options,
        storage_options=options.storage_options,
        cache=options.cache,
        cache_bytes=options.cache_bytes,
        progress=progress,
    ) as live:
        yield Rows(live.manifest, live.planned, live, config, options)
