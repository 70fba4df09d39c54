"""Limits for the parts of a store, so that memory can be allocated for the sizes in a document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actstore.access.printable import is_plain
from actstore.contracts.models import Site
from actstore.extract.sites import SAFE_NAME
from actstore.store.format.layout import StoreLayout

__all__ = ["layout_problem", "sites_problem"]

MOST_TASKS: Final = 1 << 20
"""The number that a manifest can name."""
MOST_SITES: Final = 1024
MOST_WIDTH: Final = 1 << 20
MOST_STATISTICS: Final = 1 << 22
"""Sites times the largest width: numbers per statistic of a task; three statistics have numbers of 8 bytes."""
MOST_CHUNK_VALUES: Final = 1 << 28
"""Rows of a chunk times the width of the widest site."""
MOST_TASK_CHUNKS: Final = 1 << 14
MOST_CHUNKS: Final = 1 << 25
"""Chunks of an array: a stream holds about fifty bytes for each. 100,000 tasks of 64 chunks have a fifth of this."""
_LONGEST_NAME: Final = 200


def sites_problem(sites: Sequence[Site]) -> str | None:
    """Return the problem of the sites of a store, or None; names of sites are also names of folders."""
    if not 1 <= len(sites) <= MOST_SITES:
        return f"{len(sites):,} sites; a store has 1 to {MOST_SITES:,}"
    if problem := next(filter(None, map(_site_problem, sites)), None):
        return problem
    if len({site.name for site in sites}) != len(sites):
        return "two sites have one name"
    if len(sites) * max(site.width for site in sites) > MOST_STATISTICS:
        return f"the widest of {len(sites)} sites times their number exceeds {MOST_STATISTICS:,}; store fewer together"
    return None


def layout_problem(layout: StoreLayout, tasks: int) -> str | None:
    """Return why rows cannot be laid out so, None if they can."""
    chunks = layout.task_rows // layout.chunk_rows
    if tasks > MOST_TASKS:
        return f"{tasks:,} tasks, and a store has at most {MOST_TASKS:,}; raise store.task_rows"
    if chunks > MOST_TASK_CHUNKS:
        return f"{chunks:,} chunks in a task, and it has at most {MOST_TASK_CHUNKS:,}; raise store.chunk_rows"
    if tasks * chunks > MOST_CHUNKS:
        return f"{tasks * chunks:,} chunks, and a store has at most {MOST_CHUNKS:,}; raise store.chunk_rows"
    widest = max(site.width for site in layout.sites)
    if layout.chunk_rows * max(widest, len(layout.sites)) > MOST_CHUNK_VALUES:
        return (
            f"a chunk of {layout.chunk_rows:,} rows with {widest:,} features has more than {MOST_CHUNK_VALUES:,} "
            "values; lower store.chunk_rows"
        )
    return None


def _site_problem(site: Site) -> str | None:
    if not SAFE_NAME.fullmatch(site.name) or len(site.name) > _LONGEST_NAME:
        return f"{site.name[:80]!r} cannot be the name of a site: only letters, digits, '_', '-' and '.' can"
    if not is_plain(site.module):
        return f"{site.module[:80]!r} cannot be a module"
    if not 1 <= site.width <= MOST_WIDTH:
        return f"site {site.name} has {site.width:,} features; 1 to {MOST_WIDTH:,} can be stored"
    return None
