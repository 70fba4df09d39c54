"""Verify: every object there, every byte right, and a sample of rows computed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from actstore.contracts.filesystems import backend_errors, describe_error
from actstore.contracts.objects import ObjectStore
from actstore.contracts.progress import Progress, Silent
from actstore.errors import CorruptObjectError, ManifestError, MissingObjectError, StoreError, StoreNotFoundError
from actstore.store.assemble import assemble_manifest, commit_problems, task_arrays
from actstore.store.commit import Commit, committed_tasks, load_commit
from actstore.store.frozen import FrozenRecipe, load_frozen
from actstore.store.layout import MANIFEST, RECIPE, SEQUENCES, commit_path
from actstore.store.manifest import Manifest, parse_manifest
from actstore.store.objects import open_objects
from actstore.view.reports import Fault, VerifyReport
from actstore.workflows.recompute import model_at_hand, recompute_sample

__all__ = ["verify_store"]

_REQUESTS: Final = 8
_BLOCK_BYTES: Final = 1 << 22
SAMPLE_ROWS: Final = 64


def verify_store(
    store: str,
    *,
    recompute: bool = True,
    device: str = "cpu",
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Read a whole store and compare it with its commits and manifest.

    Parameters
    ----------
    store
        Path or URL of the store.
    recompute
        Run the model on a sample of rows if it is at hand: a local folder, or in the Hugging Face cache.
    device
        Where it runs.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError
        If there is no store at all.
    """
    progress = progress or Silent()
    objects = open_objects(store, storage_options)
    faults: list[Fault] = []
    manifest = _manifest(objects, faults)
    frozen = manifest.frozen if manifest is not None else _frozen(objects, faults)
    if frozen is None:
        return _report(objects, faults, None)
    commits = _commits(objects, frozen, manifest, faults)
    checks = list(_expected(commits, frozen, manifest))
    with (
        ThreadPoolExecutor(_REQUESTS) as pool,
        progress.stage("verifying", total=sum(check.size or 0 for check in checks), unit="bytes") as stage,
    ):
        for check, problem in zip(checks, pool.map(lambda one: _problem(objects, one), checks), strict=True):
            if problem is not None:
                faults.append(Fault(check.path, check.task, problem))
            stage.advance(check.size or 0)
    if not faults and manifest is not None and assemble_manifest(objects).digest != manifest.digest:
        faults.append(Fault(MANIFEST, None, "does not say what the commits and statistics of the store say"))
    rows = 0
    if faults:
        reason = "the store is damaged"
    elif not commits:
        reason = "no task is committed yet"
    elif not recompute:
        reason = "not asked for"
    else:
        rows, reason = _recompute(objects, frozen, device, faults, progress)
    return _report(objects, faults, frozen)._replace(
        tasks_done=len(commits),
        objects=len(checks),
        bytes=sum(check.size or 0 for check in checks),
        recomputed_rows=rows,
        not_recomputed=None if rows else reason,
    )


class _Check(NamedTuple):
    path: str
    task: int | None
    size: int | None
    sha256: str


def _report(objects: ObjectStore, faults: list[Fault], frozen: FrozenRecipe | None) -> VerifyReport:
    total = 0 if frozen is None else frozen.tasks
    return VerifyReport(objects.uri, not faults, tuple(faults), 0, total, 0, 0, 0, None)


def _manifest(objects: ObjectStore, faults: list[Fault]) -> Manifest | None:
    """Return the manifest; None if there is none yet or it is damaged, which is a fault."""
    try:
        return parse_manifest(objects.get(MANIFEST), name=MANIFEST)
    except MissingObjectError:
        return None
    except ManifestError as error:
        faults.append(Fault(MANIFEST, None, str(error)))
        return None


def _frozen(objects: ObjectStore, faults: list[Fault]) -> FrozenRecipe | None:
    """Return the recipe of a store without a manifest; None if it is damaged, which is a fault."""
    done = committed_tasks(objects)
    try:
        frozen = load_frozen(objects)
    except StoreNotFoundError:
        if not done:
            raise
        faults.append(Fault(RECIPE, None, "missing"))
        return None
    except CorruptObjectError as error:
        faults.append(Fault(RECIPE, None, str(error)))
        return None
    if len(done) == frozen.tasks and not faults:
        faults.append(Fault(MANIFEST, None, "missing, though every task is committed; 'actstore extract' writes it"))
    return frozen


def _commits(
    objects: ObjectStore, frozen: FrozenRecipe, manifest: Manifest | None, faults: list[Fault]
) -> list[Commit]:
    """Return the commits that are sound, of all that the manifest names or the store has."""
    named = {} if manifest is None else {task: one for task, one in enumerate(manifest.commits) if one is not None}
    arrays = task_arrays(frozen)
    commits: list[Commit] = []
    for task in sorted(named.keys() | committed_tasks(objects)):
        path = commit_path(task)
        if task >= frozen.tasks:
            faults.append(Fault(path, task, f"the recipe has only {frozen.tasks} tasks"))
            continue
        try:
            commit = load_commit(objects, task, sha256=named.get(task))
        except MissingObjectError:
            faults.append(Fault(path, task, "missing, though the manifest names it"))
        except CorruptObjectError as error:
            faults.append(Fault(path, task, str(error)))
        else:
            problems = list(commit_problems(commit, frozen, arrays))
            faults += [Fault(path, task, problem) for problem in problems]
            if not problems:
                commits.append(commit)
    return commits


def _expected(commits: list[Commit], frozen: FrozenRecipe, manifest: Manifest | None) -> Iterator[_Check]:
    """Yield everything whose bytes are known."""
    metadata = {SEQUENCES: frozen.sequences_sha256}
    if manifest is not None:
        metadata |= manifest.metadata | {RECIPE: manifest.recipe_sha256}
    for path, digest in sorted(metadata.items()):
        yield _Check(path, None, None, digest)
    for commit in commits:
        for path, stored in commit.objects.items():
            yield _Check(path, commit.task, stored.size, stored.sha256)


def _problem(objects: ObjectStore, check: _Check) -> str | None:
    digest, size = hashlib.sha256(), 0
    try:
        with objects.open(check.path) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
    except MissingObjectError:
        return "missing"
    except StoreError as error:
        return f"cannot be read: {error}"
    except backend_errors() as error:
        return f"cannot be read: {describe_error(error)}"
    if check.size is not None and size != check.size:
        return f"{size:,} bytes, the commit says {check.size:,}"
    if digest.hexdigest() != check.sha256:
        return f"sha256 {digest.hexdigest()[:12]}..., should be {check.sha256[:12]}..."
    return None


def _recompute(
    objects: ObjectStore, frozen: FrozenRecipe, device: str, faults: list[Fault], progress: Progress
) -> tuple[int, str]:
    model, reason = model_at_hand(frozen, device=device)
    if model is None:
        return 0, reason
    manifest = assemble_manifest(objects)
    sample = recompute_sample(objects, manifest, model, rows=SAMPLE_ROWS, progress=progress)
    faults += [Fault(path, task, problem) for path, task, problem in sample.differences]
    return sample.rows, reason
