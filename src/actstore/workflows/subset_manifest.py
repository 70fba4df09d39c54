"""Write a manifest of a part of a store; nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from actstore.contracts.progress import Progress
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError, UsageError
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.workflows.manifest_files import check_manifest_file, share_manifest
from actstore.workflows.sharing.choose_part import choose_part

__all__ = ["subset_manifest"]


@with_keyword_hints
def subset_manifest(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    sites: Sequence[str] | str | None = None,
    splits: Sequence[str] | str | None = None,
    tasks: float | None = None,
    uri: str | None = None,
    places: Sequence[str] = (),
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write a manifest file of some sites, splits or tasks of a store, which stays where it is.

    Whoever opens the file sees a store with these sites and rows only.

    Parameters
    ----------
    source, sites, splits, tasks
        The store and the part, as for `actstore.copy_store`.
    out, uri, places, storage_options
        The file, and where readers find the store, as for `actstore.export_manifest`.
    progress
        Where to report.

    Raises
    ------
    SiteError, NoSplitError, UsageError
        If there is no such site or split, everything was chosen, or a place holds credentials.
    IncompleteStoreError
        If a chosen task is not extracted.
    ManifestError
        If the file exists or cannot be written.
    """
    check_manifest_file(Path(out), replace=False)
    manifest, objects = locate_store(source, storage_options=storage_options)
    part = choose_part(manifest, uri=objects.uri, sites=sites, splits=splits, tasks=tasks)
    if part is None or part == manifest.frozen.part:
        raise UsageError(
            f"{objects.uri}: all of it was chosen; choose some sites, splits or tasks (--site, --split, --tasks)"
        )
    frozen = manifest.frozen.model_copy(update={"part": part})
    known = None
    if manifest.complete and frozen.tasks_here == manifest.tasks:
        known = {site.name: manifest.statistics[site.name] for site in frozen.sites_here}
    done = [task for task in frozen.tasks_here if manifest.commits[task] is not None]
    chosen = assemble_manifest(objects, frozen=frozen, statistics=known, tasks=done, progress=progress)
    if not chosen.complete:
        raise IncompleteStoreError(
            f"{objects.uri}: {chosen.tasks_done} of {len(chosen.tasks)} chosen tasks are there; finish with "
            f"{frozen.how_to_finish} before sharing"
        )
    return share_manifest(chosen, objects, Path(out), uri=uri, places=places)
