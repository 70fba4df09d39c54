"""Choose a part of a store: some sites, some splits, a share of the tasks."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

from actstore.contracts.suggest import did_you_mean
from actstore.errors import NoSplitError, UsageError
from actstore.store.read.manifest import Manifest
from actstore.store.read.selection import match_sites
from actstore.store.write.part import PartFacts

__all__ = ["choose_part", "parse_tasks"]


def choose_part(
    manifest: Manifest,
    *,
    uri: str,
    sites: Sequence[str] | str | None = None,
    splits: Sequence[str] | str | None = None,
    tasks: float | None = None,
) -> PartFacts | None:
    """Return what a part of a store has; None if it is the whole store.

    Parameters
    ----------
    manifest, uri
        The store, which may be a part itself, and its name in messages.
    sites
        Names or globs; None for all.
    splits
        Names; None for all.
    tasks
        The first tasks of each split: a number of them, or a share as a fraction (`0.1`, rounded up to whole tasks);
        None for all.

    Raises
    ------
    SiteError, NoSplitError
        If there is no such site or split.
    UsageError
        If `tasks` is neither a positive number nor a fraction.

    Notes
    -----
    The plan puts the sequences in random order before it cuts tasks, so the first tasks are a fair sample, and a
    smaller share is a part of a larger one.
    """
    frozen = manifest.frozen
    chosen = {site.name for site in match_sites(manifest.sites, sites, uri=uri)}
    names = [splits] if isinstance(splits, str) else list(manifest.splits) if splits is None else list(splits)
    for name in names:
        if name not in manifest.splits:
            there = ", ".join(manifest.splits)
            raise NoSplitError(f"{uri}: no split {name!r}; there are {there}{did_you_mean(name, manifest.splits)}")
    counts = {name: _first(tasks, manifest.splits[name].tasks) for name in manifest.splits if name in names}
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        raise UsageError(f"{uri}: no rows in {', '.join(names) or 'no split'}")
    every_site = len(chosen) == len(frozen.sites)
    every_task = counts == {name: split.tasks for name, split in frozen.splits.items() if split.tasks}
    if every_site and every_task:
        return None
    in_order = tuple(site.name for site in frozen.sites if site.name in chosen)
    return PartFacts(sites=None if every_site else in_order, tasks=None if every_task else counts)


def parse_tasks(text: str | None) -> float | None:
    """Parse `--tasks`: a number of tasks, or a share in percent.

    Raises
    ------
    UsageError
        If it is neither.

    Examples
    --------
    >>> parse_tasks("12"), parse_tasks("10%"), parse_tasks(None)
    (12, 0.1, None)
    """
    if text is None:
        return None
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / 100 if percent else int(number)
    except ValueError:
        value = 0
    if not (0 < value < 1 if percent else value >= 1):
        raise UsageError(f"--tasks {text}: give a number of tasks (12) or a share of them (10%)")
    return value


def _first(tasks: float | None, total: int) -> int:
    """Return how many of the tasks of a split are taken."""
    if tasks is None:
        return total
    if isinstance(tasks, float) and 0 < tasks < 1:
        return math.ceil(tasks * total)
    try:
        number = operator.index(tasks)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"tasks is a number of tasks, or a share between 0 and 1, not {tasks!r}")
    return min(number, total)
