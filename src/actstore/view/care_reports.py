"""Reports of the commands that care for a store: `verify`, `repair`, `gc`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Fault", "Garbage", "GarbageReport", "RepairReport", "Unnamed", "VerifyReport"]


class Fault(NamedTuple):
    """One fault."""

    object: str
    """Path inside the store."""
    task: int | None
    problem: str


class Unnamed(NamedTuple):
    """An object that is not part of the store: no commit or metadata names it, and no reader reads it."""

    object: str
    bytes: int
    reason: str
    """A leftover of a task without a commit, or a foreign object."""


class VerifyReport(NamedTuple):
    """Report of `actstore verify`."""

    uri: str
    ok: bool
    faults: tuple[Fault, ...]
    tasks_done: int
    tasks_total: int
    objects: int
    """Objects read and compared."""
    bytes: int
    recomputed_rows: int
    """Rows that were computed again and compared."""
    not_recomputed: str | None
    """Reason if no row was computed again."""
    unnamed: tuple[Unnamed, ...] = ()
    """Objects that are not part of the store, which is no fault; `actstore gc` removes them."""
    other_stores: tuple[str, ...] = ()
    """Folders in the store that are stores themselves; their content was not examined."""


class RepairReport(NamedTuple):
    """Report of `actstore repair`."""

    uri: str
    ok: bool
    """Whether nothing is left to do; in a dry run, whether there is nothing to do."""
    dry_run: bool
    faults: tuple[Fault, ...]
    """Faults that were found."""
    tasks: tuple[int, ...]
    """Tasks that were extracted again, or would be."""
    written: tuple[str, ...]
    """Objects that were written or removed; in a dry run, those known in advance."""
    left: tuple[Fault, ...]
    """Faults that could not be repaired, with the reason."""
    rows_extracted: int
    seconds: float
    """Time from the first to the last access to the store."""
    manifest_before: str | None
    """Digest of the manifest before the repair; None if it was missing or damaged."""
    manifest_sha256: str | None
    """Digest of the present manifest."""


class Garbage(NamedTuple):
    """An object that is not part of the store."""

    object: str
    bytes: int
    age_s: float | None
    """Seconds since it was written; None if the storage does not say."""
    reason: str


class GarbageReport(NamedTuple):
    """Report of `actstore gc`."""

    uri: str
    garbage: tuple[Garbage, ...]
    """Objects that are old enough to be removed."""
    bytes: int
    """Bytes of these objects."""
    recent: tuple[Garbage, ...]
    """Objects younger than the grace time, or of unknown age; a running extractor may need them."""
    recent_bytes: int
    older_than_s: float
    deleted: bool
    """Whether the old objects were removed."""
    other_stores: tuple[str, ...] = ()
    """Folders in the store that are stores themselves; nothing in them is listed or removed."""
    foreign: tuple[Garbage, ...] = ()
    """Files with names that actstore does not give; never removed."""
    temporary: tuple[str, ...] = ()
    """Folders of killed runs in the temporary directory of this machine; removed with the old objects, and by the next
    run."""
