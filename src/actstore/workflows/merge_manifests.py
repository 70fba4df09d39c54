"""Write a manifest that joins several stores of other sequences; nothing is copied."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.credentials import refuse_credentials
from actstore.access.objects import ObjectStore
from actstore.access.read_ahead import map_ahead
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import IncompleteStoreError, UsageError
from actstore.store.read.manifest import Manifest, StoredBytes, joined_commits
from actstore.store.read.merged import MergedObjects
from actstore.store.read.open import locate_rows
from actstore.store.write.commit import load_commit
from actstore.store.write.join import join_recipes
from actstore.store.write.members import MOST_MEMBERS
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.statistics import SiteStatistics, StatisticsMerger
from actstore.workflows.manifest_files import check_manifest_file, place_from_file, write_manifest_file

__all__ = ["merge_manifests"]


@with_keyword_hints
def merge_manifests(
    sources: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Write a manifest file of several stores that are read as one; they stay where they are.

    The stores have the same model, sites, encoding, calibration and size of tasks, and no sequence in common. Splits of
    one name are joined. Tasks and sequences have new numbers: split by split, and in each in the order of `sources`.

    Parameters
    ----------
    sources
        Paths or URLs of at least two complete stores, or manifest files, also of parts or merges.
    out
        File to write; it must not exist.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    UsageError
        If their rows cannot be read together, a sequence is in two of them, or an address holds credentials.
    IncompleteStoreError
        If one is not complete.
    ManifestError
        If the file exists or cannot be written.
    """
    progress = progress or Silent()
    check_manifest_file(Path(out), replace=False)
    stores = [store for source in sources for store in _stores(source, storage_options)]
    if not 2 <= len(stores) <= MOST_MEMBERS:
        raise UsageError(f"a merge takes 2 to {MOST_MEMBERS} stores, not {len(stores)}")
    for store in stores:
        _refuse_unfit(store)
    frozen = join_recipes([store.manifest.frozen for store in stores], [store.objects.uri for store in stores])
    _refuse_common_sequences([store for store in stores if _has_ids(store.manifest)], progress)
    manifests = [store.manifest for store in stores]
    merged = Manifest(
        recipe_sha256=frozen.digest,
        frozen=frozen,
        metadata={},
        commits=joined_commits(frozen, manifests),
        stored=StoredBytes(
            **{name: sum(getattr(one.stored, name) for one in manifests) for name in StoredBytes.model_fields}
        ),
        statistics=_statistics(stores, progress),
        members=tuple(
            store.manifest.placed(place_from_file(store.objects.uri, Path(out)), store.manifest.places)
            for store in stores
        ),
    )
    write_manifest_file(Path(out), merged.to_json(uri=None), replace=False)
    return merged.placed(os.fspath(out))


class _Store(NamedTuple):
    manifest: Manifest
    objects: ObjectStore


def _stores(source: str | os.PathLike[str], storage_options: Mapping[str, Any] | None) -> list[_Store]:
    """Return the store at a place, or those of a merge."""
    manifest, objects = locate_rows(source, storage_options=storage_options)
    if isinstance(objects, MergedObjects):
        return [_Store(*pair) for pair in zip(manifest.members, objects.members, strict=True)]
    return [_Store(manifest, objects)]


def _refuse_common_sequences(stores: Sequence[_Store], progress: Progress) -> None:
    """Compare the ids of all sequences: 16 bytes of memory for each."""
    if len(stores) < 2:
        return
    hashes, owners = [], []
    with progress.stage("comparing sequences", total=len(stores), unit="stores") as stage:
        for number, store in enumerate(stores):
            with StoredSequences(store.objects) as sequences:
                hashes.append(sequences.table(store.manifest.frozen.split_names).id_hash_N)
            owners.append(np.full(len(hashes[-1]), number, dtype=np.int8))
            stage.advance(1)
    hash_N, owner_N = np.concatenate(hashes), np.concatenate(owners)
    order_N = np.argsort(hash_N, kind="stable")
    same = np.flatnonzero(hash_N[order_N[1:]] == hash_N[order_N[:-1]])
    if len(same):
        one, two = order_N[same[0] : same[0] + 2].tolist()
        first = np.searchsorted(owner_N, owner_N[one])
        with StoredSequences(stores[int(owner_N[one])].objects) as sequences:
            name = sequences.sequence_id(one - int(first))
        places = [stores[int(owner_N[place])].objects.uri for place in (one, two)]
        raise UsageError(
            f"{name!r} is in {places[0]} and in {places[1]}, as are {len(same) - 1:,} other sequences: a merge is of "
            "stores of other sequences, and finds each by its id"
        )


def _refuse_unfit(store: _Store) -> None:
    """Refuse a store that is not complete, or whose addresses hold credentials."""
    if not store.manifest.complete:
        way = store.manifest.frozen.how_to_finish
        raise IncompleteStoreError(f"{store.objects.uri} is not complete; finish with {way} first")
    store.manifest.frozen.recipe.refuse_credentials(name=f"{store.objects.uri}: its recipe")
    for place in (store.objects.uri, *store.manifest.places):
        refuse_credentials(place, name="uri")


def _has_ids(manifest: Manifest) -> bool:
    """Return whether ids name proteins; those that an import made up are names of files."""
    imported = manifest.frozen.imported
    return imported is None or "ids" not in imported.unknown


def _statistics(stores: Sequence[_Store], progress: Progress) -> dict[str, SiteStatistics]:
    """Merge the statistics of all tasks, in the order of the stores."""
    total = StatisticsMerger(stores[0].objects, stores[0].manifest.frozen)
    tasks = sum(len(store.manifest.tasks) for store in stores)
    with progress.stage("merging statistics", total=tasks, unit="tasks") as stage:
        for manifest, objects in stores:
            for arrays in map_ahead(partial(_load, manifest, objects), manifest.tasks):
                total.add(arrays)
                stage.advance(1)
    return total.result()


def _load(manifest: Manifest, objects: ObjectStore, task: int) -> dict[str, NDArray[Any]]:
    """Return the statistics of a task."""
    commit = load_commit(objects, task, sha256=manifest.commits[task])
    return StatisticsMerger(objects, manifest.frozen).load(commit)
