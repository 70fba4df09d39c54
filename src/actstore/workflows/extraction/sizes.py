"""Choose the rows of a task, and check that memory and disk are large enough, before anything runs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.models import Site
from actstore.contracts.recipe import Recipe
from actstore.errors import StoreError
from actstore.store.plan.footprint import footprint
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.view.grids import human_bytes
from actstore.workflows.extraction.free_memory import available_memory

__all__ = ["check_room", "choose_task_rows", "free_disk", "task_memory"]

TASK_BYTES: Final = 2 << 30
"""Most memory of one task's rows at all sites, in float32; two are in memory at a time."""
OBJECT_VALUES: Final = 128 << 20
"""Most values of one object: with int8, 128 MiB, written by one request and read in ranges."""
MANY_TASKS: Final = 20_000
"""From this number on larger tasks are better: every task is a line of the manifest and some twenty objects."""


def choose_task_rows(recipe: Recipe, sites: Sequence[Site], *, residues: int) -> Recipe:
    """Return the recipe with rows per task that suit sites and corpus; a number that it names is kept.

    Tasks of very many features become smaller, so that two fit into memory. Tasks of very large stores become larger,
    as long as their objects stay below a size. The number follows from the arguments alone, so a recipe gives the same
    on every machine.

    Parameters
    ----------
    recipe
        If it names `store.task_rows`, that is kept.
    sites
        Names and widths.
    residues
        Residues of the corpus.
    """
    store = recipe.store
    if "task_rows" in store.model_fields_set:
        return recipe
    features, widest = sum(site.width for site in sites), max(site.width for site in sites)
    rows, wanted = store.task_rows, residues * recipe.rows.fraction
    while rows * features * 4 > TASK_BYTES and rows % (2 * store.chunk_rows) == 0:
        rows //= 2
    while wanted > MANY_TASKS * rows and 2 * rows * widest <= OBJECT_VALUES and 2 * rows * features * 4 <= TASK_BYTES:
        rows *= 2
    return recipe.model_copy(update={"store": store.model_copy(update={"task_rows": rows})})


def task_memory(frozen: FrozenRecipe, *, rows_elsewhere: bool = False) -> int:
    """Return the bytes in memory while tasks are done: two tasks in float32, and two encoded.

    `rows_elsewhere` if rows stay on a device until they are encoded.
    """
    rows = min(frozen.layout.task_rows, frozen.rows)
    encoded = footprint([rows], frozen.layout).bytes
    return 2 * (encoded if rows_elsewhere else rows * sum(site.width for site in frozen.sites) * 4 + encoded)


def check_room(
    objects: ObjectStore,
    frozen: FrozenRecipe,
    *,
    tasks_done: int = 0,
    processes: int = 1,
    rows_elsewhere: bool = False,
) -> None:
    """Refuse an extraction for which memory or a local disk is too small.

    Parameters
    ----------
    objects
        Where the store is or will be.
    frozen
        What is to be extracted.
    tasks_done
        Tasks that are already stored.
    processes
        Number of processes on this machine that do tasks; 0 if tasks are done elsewhere.
    rows_elsewhere
        Whether rows stay on a device until they are encoded; its memory is checked when it is allocated.

    Raises
    ------
    StoreError
        If less is free than needed; the message names ways out.
    """
    if tasks_done >= frozen.tasks:
        return
    needed, free = processes * task_memory(frozen, rows_elsewhere=rows_elsewhere), available_memory()
    if free is not None and needed > free:
        rows, fitting = frozen.layout.task_rows, _smaller(frozen, free, needed)
        raise StoreError(
            f"{objects.uri}: tasks of {rows:,} rows at {len(frozen.sites)} sites take {human_bytes(needed)} of memory "
            f"beside the model{'' if processes == 1 else f' in {processes} processes'}, and {human_bytes(free)} are "
            f"free; make them smaller (--set store.task_rows={fitting}; this makes another store), "
            f"{'' if processes == 1 else 'use fewer processes, '}or use a machine with more"
        )
    if not isinstance(objects, LocalObjects) or frozen.layout.compressor != "none":
        return
    whole = footprint([split.rows for split in frozen.splits.values()], frozen.layout).bytes
    left, room = whole * (frozen.tasks - tasks_done) // frozen.tasks, free_disk(Path(objects.uri))
    if room is not None and left > room:
        raise StoreError(
            f"{objects.uri}: {human_bytes(left)} are to be written and {human_bytes(room)} are free there; take "
            "another place, fewer rows (--set rows.fraction=0.1), fewer sites, or a smaller encoding (int8, int4)"
        )


def _smaller(frozen: FrozenRecipe, free: int, needed: int) -> int:
    rows, chunk = frozen.layout.task_rows, frozen.layout.chunk_rows
    fitting = int(rows * free / (2 * needed))
    return max(fitting // chunk, 1) * chunk


def free_disk(place: Path) -> int | None:
    """Return the bytes that are free on the disk of a path, which need not exist; None if nobody can tell."""
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None
