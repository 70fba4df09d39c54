"""Compare the commits of a store with recipe and manifest, and the objects that they name with commits and plan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Final, NamedTuple

from actstore.access.objects import ObjectStore
from actstore.access.read_ahead import map_ahead
from actstore.contracts.progress import Progress
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.care.agreement import StoredPlan
from actstore.store.care.compare import Difference, compare_object
from actstore.store.care.contents import TaskContents, TokensOfLetters
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.layout import MANIFEST, ArraySpec, commit_path
from actstore.store.read.assemble_manifest import commit_problems
from actstore.store.read.manifest import Manifest
from actstore.store.write.commit import Commit, StoredObject, load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.view.care_reports import Fault

__all__ = ["Committed", "Expected", "compare_commits", "named_commits"]

_REQUESTS: Final = 8


class Expected(NamedTuple):
    """What the parts of a store say that its commits must be."""

    frozen: FrozenRecipe
    manifest: Manifest | None
    plan: StoredPlan | None
    """None if the sequences are lost."""


class Committed(NamedTuple):
    """The result of comparing all commits with their objects."""

    commits: tuple[int, ...]
    """Tasks whose commits do not contradict recipe or manifest."""
    faults: tuple[Fault, ...]
    objects: int
    """Objects read and compared."""
    bytes: int


class _Found(NamedTuple):
    """A commit as it is stored."""

    task: int
    problems: tuple[str, ...] = ()
    disowned: str = ""
    """How the manifest contradicts it; empty if it does not."""
    is_sound: bool = False
    """Whether it agrees with the recipe; only then its objects were compared."""
    objects: int = 0
    bytes: int = 0


class _Check(NamedTuple):
    """An object to compare with what its commit says."""

    spec: ArraySpec
    task: int
    stored: StoredObject
    contents: TaskContents
    is_last: bool
    """Whether it is the last object of its task."""


class _Looked(NamedTuple):
    """The result of comparing all commits with their objects."""

    found: list[_Found]
    different: list[tuple[str, int, Difference]]
    """Object, task and what is wrong."""


def named_commits(manifest: Manifest | None) -> dict[int, str]:
    """Return the digest of every commit that the manifest names."""
    return {} if manifest is None else {task: one for task, one in enumerate(manifest.commits) if one is not None}


def compare_commits(
    objects: ObjectStore,
    expected: Expected,
    *,
    done: Collection[int],
    tasks: Collection[int] | None,
    progress: Progress,
) -> Committed:
    """Read the commits that the store has or the manifest names, and all objects that they name; keep no commit.

    Parameters
    ----------
    objects
        The store.
    expected
        What its other parts say.
    done
        Tasks that have a commit.
    tasks
        Compare only these; None for all.
    progress
        Where to report.
    """
    looked = _look(objects, expected, done, tasks, progress)
    return Committed(
        tuple(one.task for one in looked.found if one.is_sound and not one.disowned),
        tuple(_commit_faults(looked)),
        sum(one.objects for one in looked.found),
        sum(one.bytes for one in looked.found),
    )


def _look(
    objects: ObjectStore,
    expected: Expected,
    done: Collection[int],
    tasks: Collection[int] | None,
    progress: Progress,
) -> _Looked:
    named = {task: one for task, one in named_commits(expected.manifest).items() if tasks is None or task in tasks}
    arrays = expected.frozen.task_arrays
    wanted = sorted({*done, *named})
    tokens = TokensOfLetters()
    found: list[_Found] = []
    different: list[tuple[str, int, Difference]] = []

    def checks() -> Iterator[_Check]:
        read = partial(_read_commit, objects, expected, named, tokens)
        for one, commit, contents in map_ahead(read, wanted, threads=_REQUESTS):
            found.append(one)
            if commit is None or contents is None:
                stage.advance(len(arrays))
                continue
            for spec in arrays:
                stored = commit.objects[spec.object_path(one.task)]
                yield _Check(spec, one.task, stored, contents, is_last=spec is arrays[-1])

    def compare(check: _Check) -> tuple[_Check, Difference | None]:
        content = check.contents.of(check.spec)
        return check, compare_object(objects, check.spec, check.task, check.stored, content=content)

    with progress.stage("verifying", total=len(wanted) * len(arrays), unit="objects") as stage:
        for check, difference in map_ahead(compare, checks(), threads=_REQUESTS):
            if difference is not None:
                different.append((check.spec.object_path(check.task), check.task, difference))
            if check.is_last:  # results come in order, so all objects of the task were looked at
                contradictions = check.contents.contradictions()
                different += [(path, check.task, Difference(problem)) for path, problem in contradictions]
            stage.advance(1)
    return _Looked(found, different)


def _read_commit(
    objects: ObjectStore,
    expected: Expected,
    named: Mapping[int, str],
    tokens: TokensOfLetters,
    task: int,
) -> tuple[_Found, Commit | None, TaskContents | None]:
    """Return what is wrong with a commit; if it agrees with the recipe, also the commit and what its objects hold."""
    frozen = expected.frozen
    if task >= frozen.tasks:
        return _Found(task, (f"the recipe has only {frozen.tasks} tasks",)), None, None
    try:
        commit = load_commit(objects, task)
    except MissingObjectError:
        return _Found(task, ("missing, though the manifest names it",)), None, None
    except CorruptObjectError as error:
        return _Found(task, (str(error),)), None, None
    digest, disowned = sha256_hex(commit.to_json()), ""
    if named.get(task, digest) != digest:
        disowned = f"sha256 {digest[:12]}..., the manifest says {named[task][:12]}..."
    problems = tuple(commit_problems(commit, frozen))
    if problems:
        return _Found(task, (f"{disowned}: it {problems[0]}",) if disowned else problems, disowned), None, None
    sizes = [commit.objects[spec.object_path(task)].size for spec in frozen.task_arrays]
    contents = TaskContents(frozen, task, None if expected.plan is None else expected.plan.columns(task), tokens)
    return _Found(task, (), disowned, is_sound=True, objects=len(sizes), bytes=sum(sizes)), commit, contents


def _commit_faults(looked: _Looked) -> Iterator[Fault]:
    """Yield what is wrong with commits and their objects, and with the manifest if it contradicts sound commits."""
    damage: dict[int, list[tuple[str, Difference]]] = {}
    for path, task, difference in looked.different:
        damage.setdefault(task, []).append((path, difference))
    disowning: list[_Found] = []
    for one in looked.found:
        place, wrong = commit_path(one.task), damage.get(one.task, [])
        yield from (Fault(place, one.task, problem) for problem in one.problems)
        if one.disowned and wrong:
            yield Fault(place, one.task, f"{one.disowned}; {wrong[0][0]}: {wrong[0][1].problem}")
        elif one.disowned and one.is_sound:
            disowning.append(one)
        else:
            for path, difference in wrong:
                yield Fault(place if difference.in_commit else path, one.task, difference.problem)
    if disowning:
        first, more = disowning[0], f" (and {len(disowning) - 1:,} more such)" if len(disowning) > 1 else ""
        problem = f"{commit_path(first.task)} has {first.disowned}, but all its objects are as this commit says{more}"
        yield Fault(MANIFEST, None, problem)
