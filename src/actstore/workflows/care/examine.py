"""Examine: find what a store should hold, from the parts that can be trusted, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError, ManifestError, MissingObjectError, StoreNotFoundError
from actstore.store.care.agreement import stored_plan
from actstore.store.care.compare import compare_sha256
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.documents import MOST_METADATA_BYTES, load_json, read_document
from actstore.store.format.layout import COMMITS, MANIFEST, RECIPE, ROOT_METADATA, SEQUENCES
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.inventory import Inventory, is_below, other_stores
from actstore.store.read.manifest import Manifest, parse_manifest
from actstore.store.write.commit import committed_tasks, load_commit
from actstore.store.write.freeze import metadata_objects, says_the_same
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.sequences import most_file_bytes
from actstore.view.care_reports import Fault, Unnamed
from actstore.workflows.care.committed import Expected, compare_commits, named_commits

__all__ = ["DISAGREES", "FOLDER_IN_PLACE", "Examination", "examine"]

FOLDER_IN_PLACE: Final = "a folder lies in its place; remove it"
DISAGREES: Final = "has the sha256 that the recipe says, but disagrees with it"
_METADATA_BYTES: Final = 1 << 16
_WITNESSES: Final = 16
"""Number of commits whose recipe is read if `recipe.json` and the manifest contradict each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Examination:
    """What a store is and what is wrong with it."""

    frozen: FrozenRecipe | None
    """The recipe that the store was made with; None if it is lost."""
    manifest: Manifest | None
    """The manifest in the store; None if it is missing, does not parse, or belongs to another recipe."""
    commits: tuple[int, ...]
    """Tasks whose commits do not contradict recipe or manifest."""
    faults: tuple[Fault, ...]
    unnamed: tuple[Unnamed, ...]
    """Objects that are not part of the store. They are not faults: no reader looks at them."""
    other_stores: tuple[str, ...]
    """Folders in the store that are stores themselves; their objects are not in `unnamed`."""
    objects: int
    """Objects read and compared."""
    bytes: int


class _Root(NamedTuple):
    frozen: FrozenRecipe | None
    manifest: Manifest | None


def examine(
    objects: ObjectStore,
    *,
    tasks: Collection[int] | None = None,
    part: Manifest | None = None,
    progress: Progress,
) -> Examination:
    """Read a store and compare every object with its commit, every commit with manifest and recipe.

    If root and leaves of the tree contradict each other, the side with more evidence is trusted, such as a commit that
    all its objects match over a manifest that names another one.

    Parameters
    ----------
    objects
        The store.
    tasks, part
        Check only these tasks, or the part that this manifest describes, which is trusted; None for all.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError, StoreError
        If there is no store at all, or the storage cannot be listed.
    """
    faults: list[Fault] = []
    frozen, manifest = _root(objects, faults) if part is None else _Root(part.frozen, part)
    tasks = tasks if part is None else part.tasks
    if frozen is None:
        return Examination(None, None, (), _explained(objects, faults), (), (), 0, 0)
    done = _committed(objects, faults)
    damaged_sequences = _sequence_faults(objects, frozen)
    faults += _metadata_faults(objects, frozen, manifest, begun=bool(done))
    faults += damaged_sequences
    with nullcontext() if damaged_sequences else stored_plan(objects, frozen) as plan:
        if plan is not None:
            faults += [Fault(SEQUENCES, None, f"{DISAGREES}: it {problem}") for problem in plan.problems]
        chosen = done if tasks is None else done & set(tasks)
        expected = Expected(frozen, manifest, plan)
        committed = compare_commits(objects, expected, done=chosen, tasks=tasks, progress=progress)
    faults += committed.faults
    if not any(fault.object == MANIFEST for fault in faults):
        if manifest is None and done >= set(frozen.tasks_here):
            way = "'actstore repair URI'" if frozen.part is None else frozen.how_to_finish
            faults.append(Fault(MANIFEST, None, f"missing, though every task is committed; {way} writes it"))
        elif manifest is not None and tasks is None and not faults:
            faults += _outdated(objects)
    inventory = Inventory.of(frozen)
    listed = _list(objects, inventory, done | named_commits(manifest).keys()) if tasks is None else _Listed((), ())
    return Examination(
        frozen,
        manifest,
        committed.commits,
        _explained(objects, faults),
        listed.unnamed,
        listed.other_stores,
        committed.objects + len(inventory.metadata) + 1,
        committed.bytes,
    )


def _root(objects: ObjectStore, faults: list[Fault]) -> _Root:
    """Return the recipe and manifest that agree with the rest of the store."""
    manifest: Manifest | None = None
    try:
        manifest = parse_manifest(read_document(objects, MANIFEST), name=MANIFEST)
    except (ManifestError, CorruptObjectError) as error:
        faults.append(Fault(MANIFEST, None, str(error)))
    except MissingObjectError:
        pass
    try:
        frozen = load_frozen(objects)
    except StoreNotFoundError:
        if manifest is None and not faults and not _committed(objects, []):
            raise
        faults.append(Fault(RECIPE, None, "missing"))
    except CorruptObjectError as error:
        faults.append(Fault(RECIPE, None, str(error)))
    else:
        return _credible(objects, frozen, manifest, faults)
    return _Root(None if manifest is None else manifest.frozen, manifest)


def _credible(objects: ObjectStore, frozen: FrozenRecipe, manifest: Manifest | None, faults: list[Fault]) -> _Root:
    """Return the recipe and manifest that agree with commits and Zarr metadata; they may contradict each other."""
    witnesses, stored = _witnesses(objects), read_document(objects, RECIPE)
    others = witnesses.keys() - {frozen.digest}
    if manifest is None and others and not witnesses[frozen.digest]:
        faults.append(Fault(RECIPE, None, f"the store was made with another recipe (sha256 {min(others)[:12]}...)"))
        return _Root(None, None)
    if manifest is not None and manifest.recipe_sha256 != frozen.digest:
        if witnesses[frozen.digest] > witnesses[manifest.recipe_sha256]:
            faults.append(Fault(MANIFEST, None, "belongs to another recipe than the commits of this store"))
            return _Root(frozen, None)
        problem = f"sha256 {sha256_hex(stored)[:12]}..., the manifest says {manifest.recipe_sha256[:12]}..."
        faults.append(Fault(RECIPE, None, problem))
        return _Root(manifest.frozen, manifest)
    if stored != frozen.to_json():
        faults.append(Fault(RECIPE, None, "differs from the form that actstore writes; it was edited"))
    return _Root(frozen, manifest)


def _committed(objects: ObjectStore, faults: list[Fault]) -> set[int]:
    """Return the tasks with a commit; add a fault if their folder is a link that cannot be followed."""
    try:
        return committed_tasks(objects)
    except CorruptObjectError as error:
        faults.append(Fault(COMMITS, None, str(error)))
        return set()


def _witnesses(objects: ObjectStore) -> Counter[str]:
    """Count under which recipes a few commits and the root group were made."""
    digests: Counter[str] = Counter()
    for task in sorted(_committed(objects, []))[:_WITNESSES]:
        with suppress(MissingObjectError, CorruptObjectError):
            digests[load_commit(objects, task).recipe_sha256] += 1
    with suppress(MissingObjectError, CorruptObjectError, ValueError, KeyError, TypeError):
        root = load_json(read_document(objects, ROOT_METADATA, most_bytes=MOST_METADATA_BYTES))
        digests[str(root["attributes"]["actstore"]["recipe_sha256"])] += 1
    return digests


def _metadata_faults(
    objects: ObjectStore, frozen: FrozenRecipe, manifest: Manifest | None, *, begun: bool
) -> Iterator[Fault]:
    """Yield what is wrong with Zarr metadata and calibration, or with what the manifest says of them."""
    contents = metadata_objects(frozen)
    said = dict.fromkeys(contents, "") if manifest is None else manifest.metadata
    for path, wanted in contents.items():
        try:
            stored = objects.get_range(path, 0, 2 * len(wanted) + _METADATA_BYTES)  # a longer one is wrong anyway
        except MissingObjectError:
            # Before the first commit the set-up may have been interrupted: the next run completes it.
            if manifest is not None or begun:
                yield Fault(path, None, "missing")
            continue
        except CorruptObjectError as error:
            yield Fault(path, None, str(error))
            continue
        digest = sha256_hex(stored)
        if manifest is not None and digest != said.get(path) and stored != wanted:
            yield Fault(path, None, f"sha256 {digest[:12]}..., the manifest says {said.get(path, 'nothing')[:12]}...")
        elif not says_the_same(stored, wanted):
            yield Fault(path, None, "is not what the recipe implies")
        elif manifest is not None and digest != said.get(path):
            yield Fault(MANIFEST, None, f"says sha256 {said.get(path)} of {path}, but that is as the recipe implies")
    if manifest is not None:
        roots = {RECIPE: frozen.digest, SEQUENCES: frozen.sequences_sha256}
        if {path: said.get(path) for path in roots} != roots or said.keys() != contents.keys() | roots.keys():
            yield Fault(MANIFEST, None, "names other metadata than its own recipe")


def _sequence_faults(objects: ObjectStore, frozen: FrozenRecipe) -> list[Fault]:
    most = most_file_bytes(frozen.corpus.sequences)
    difference = compare_sha256(objects, SEQUENCES, frozen.sequences_sha256, most_bytes=most)
    return [] if difference is None else [Fault(SEQUENCES, None, difference.problem)]


def _outdated(objects: ObjectStore) -> Iterator[Fault]:
    """Yield the fault of a manifest that is not made of the commits and statistics of the store."""
    try:
        if objects.get(MANIFEST) != assemble_manifest(objects).to_json(uri=None):
            yield Fault(MANIFEST, None, "differs from the commits and statistics of the store")
    except (CorruptObjectError, MissingObjectError) as error:
        yield Fault(MANIFEST, None, f"cannot be compared with the store: {error}")


class _Listed(NamedTuple):
    unnamed: tuple[Unnamed, ...]
    other_stores: tuple[str, ...]


def _list(objects: ObjectStore, inventory: Inventory, tasks: Collection[int]) -> _Listed:
    """Return what is not part of a store, given the tasks that somebody names."""
    sizes = objects.sizes()
    others = other_stores(sizes)
    ours = ((path, size) for path, size in sorted(sizes.items()) if not is_below(path, others))
    listed = ((path, size, inventory.why_unnamed(path, tasks)) for path, size in ours)
    return _Listed(tuple(Unnamed(path, size, why) for path, size, why in listed if why is not None), others)


def _explained(objects: ObjectStore, faults: list[Fault]) -> tuple[Fault, ...]:
    """Add the reason to faults of objects that are missing because a folder has their name."""
    if not isinstance(objects, LocalObjects):
        return tuple(faults)
    return tuple(
        fault._replace(problem=FOLDER_IN_PLACE) if objects.local_path(fault.object).is_dir() else fault
        for fault in faults
    )
