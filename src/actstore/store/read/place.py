"""Where a store may be begun: in an empty folder that is in no other store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.printable import printable
from actstore.errors import UsageError
from actstore.store.format.layout import COMMITS, MANIFEST, RECIPE, ROOT_METADATA, SEQUENCES
from actstore.store.write.frozen_recipe import load_frozen_if_any

__all__ = ["check_new_place", "enclosing_store", "refuse_in_store"]

_DOCUMENTS: Final = (RECIPE, MANIFEST)
_BESIDE: Final = (ROOT_METADATA, SEQUENCES, COMMITS)
"""A store has one of these beside its recipe or manifest, unless it was killed in its first moment."""
_MOST_NAMED: Final = 3


def enclosing_store(path: str | os.PathLike[str]) -> Path | None:
    """Return the folder of the store that a local path is, or lies in; None if there is none.

    Parameters
    ----------
    path
        File or folder, which need not exist. It is searched as it is written and with its links resolved.

    Examples
    --------
    >>> enclosing_store("/nowhere/run") is None
    True
    """
    place = Path(path).expanduser()
    for start in (place.absolute(), Path(os.path.realpath(place))):
        for folder in (start, *start.parents):
            if _is_store(folder):
                return folder
    return None


def refuse_in_store(path: str | os.PathLike[str], option: str) -> None:
    """Refuse a local file or folder that would be written into the folder of a store.

    Raises
    ------
    UsageError
        Names the option.
    """
    if (store := enclosing_store(path)) is not None:
        raise UsageError(
            f"{option} {os.fspath(path)}: lies in the store {store}, which holds activations and nothing else; give a "
            "place outside of it"
        )


def check_new_place(objects: ObjectStore) -> None:
    """Refuse to begin a store among other files, or in the folder of another store.

    Nothing is refused where a store has been begun. Unfinished writes of a killed run are no obstacle.

    Raises
    ------
    UsageError
        If the place holds files but no store, is a file, or lies in a store. The last two are found on local disks.
    """
    if load_frozen_if_any(objects) is not None:
        return
    if isinstance(objects, LocalObjects):
        place = Path(objects.uri)
        if file := next((one for one in (place, *place.parents) if one.is_file()), None):
            raise UsageError(f"{file} is a file, and a store is a folder; give an empty or a new folder")
        outer = enclosing_store(place.parent)
        if outer is not None:
            raise UsageError(
                f"{objects.uri} lies in the store {outer}: a store in a store would be listed, checked and removed "
                "with it; extract to a place outside of it"
            )
    found = sorted(objects.sizes())
    # Another process may have begun the store while its files were listed.
    if found and load_frozen_if_any(objects) is None:
        more = f" and {len(found) - _MOST_NAMED:,} more" if len(found) > _MOST_NAMED else ""
        raise UsageError(
            f"{objects.uri} is not empty and not a store: it holds {', '.join(map(printable, found[:_MOST_NAMED]))}"
            f"{more}, but no {RECIPE}; extract to an empty or a new folder. If this was a store, put {RECIPE} back "
            "first"
        )


def _is_store(folder: Path) -> bool:
    """Return whether a folder has the files of a store, damaged or not."""
    has_document = any((folder / name).is_file() for name in _DOCUMENTS)
    if has_document and any((folder / name).exists() for name in _BESIDE):
        return True
    return (folder / ROOT_METADATA).is_file() and (folder / "rows" / ROOT_METADATA).is_file()
