"""Whether a copy fits on a local disk."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.errors import StoreError
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.view.grids import human_bytes
from actstore.workflows.extraction.sizes import free_disk

__all__ = ["check_copy_room"]


def check_copy_room(target: ObjectStore, frozen: FrozenRecipe, tasks: Collection[int], *, less: str) -> None:
    """Refuse a copy for which a local disk is too small; the size of a compressed store is not known.

    Parameters
    ----------
    target, frozen
        The copy.
    tasks
        Tasks that are to be written.
    less
        How to copy less, for the message.

    Raises
    ------
    StoreError
        If they do not fit.
    """
    if not isinstance(target, LocalObjects) or frozen.layout.compressor != "none":
        return
    row_bytes = sum(spec.row_bytes for spec in frozen.row_arrays)
    needed, room = row_bytes * sum(map(frozen.rows_of, tasks)), free_disk(Path(target.uri))
    if room is not None and needed > room:
        raise StoreError(
            f"{target.uri}: {human_bytes(needed)} are to be copied and {human_bytes(room)} are free there; take "
            f"another place, {less}"
        )
