"""What a task that was extracted again may do to a store; whole repairs are in `test_repair.py` of the workflows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.tasks import Task, TaskRows
from actstore.errors import CorruptObjectError
from actstore.store.care.restore import restore_task
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.shard import Shard
from actstore.store.write.commit import load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.writer import encode_task

StoreOf = Callable[..., Path]
RowsOf = Callable[[ObjectStore, int], TaskRows]
Shards = dict[str, Shard]

PATH = "sites/embed/values/c/1/0"


@pytest.fixture(scope="module")
def frozen(store_of: StoreOf) -> FrozenRecipe:
    return load_frozen(LocalObjects(store_of()))


@pytest.fixture(scope="module")
def rows(store_of: StoreOf, rows_of: RowsOf) -> TaskRows:
    return rows_of(LocalObjects(store_of()), 1)


@pytest.fixture(scope="module")
def task(frozen: FrozenRecipe) -> Task:
    return Task(1, frozen.split_of(1), frozen.rows_of(1), (), np.arange(frozen.rows_of(1)))


@pytest.fixture(scope="module")
def same(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> Shards:
    return encode_task(frozen, task, rows)


@pytest.fixture(scope="module")
def other(frozen: FrozenRecipe, task: Task, rows: TaskRows) -> Shards:
    values = {site: values_ND * np.float32(1.001) for site, values_ND in rows.values.items()}
    changed = TaskRows(rows.sequence_N, rows.position_N, rows.token_N, values)
    return encode_task(frozen, task, changed)


@pytest.fixture
def objects(own_store: StoreOf) -> LocalObjects:
    return LocalObjects(own_store())


def content(objects: LocalObjects) -> dict[str, bytes]:
    return {path: objects.get(path) for path in objects.sizes()}


def named(objects: LocalObjects) -> str:
    return sha256_hex(objects.get("commits/1.json"))


def test_a_sound_task_is_not_touched(objects: LocalObjects, frozen: FrozenRecipe, same: Shards) -> None:
    for digest in (named(objects), None):
        assert restore_task(objects, frozen, 1, same, named=digest, rewrite=False) == ()


def test_lost_objects_come_back_under_the_commit_that_names_them(
    objects: LocalObjects, frozen: FrozenRecipe, same: Shards
) -> None:
    before, digest = content(objects), named(objects)
    objects.delete(PATH)
    inode = objects.local_path("commits/1.json").stat().st_ino
    assert restore_task(objects, frozen, 1, same, named=digest, rewrite=False) == (PATH,)
    assert content(objects) == before
    assert objects.local_path("commits/1.json").stat().st_ino == inode


@pytest.mark.parametrize("spoiled", [b"", b"{}", None])
@pytest.mark.parametrize("with_manifest", [True, False])
def test_a_lost_commit_comes_back(
    with_manifest: bool, spoiled: bytes | None, objects: LocalObjects, frozen: FrozenRecipe, same: Shards
) -> None:
    before, digest = content(objects), named(objects)
    objects.delete("commits/1.json")
    if spoiled is not None:
        objects.put("commits/1.json", spoiled)
    written = restore_task(objects, frozen, 1, same, named=digest if with_manifest else None, rewrite=False)
    assert written == ("commits/1.json",)
    assert content(objects) == before


def test_other_bytes_are_refused_if_anything_says_what_was_there(
    objects: LocalObjects, frozen: FrozenRecipe, other: Shards
) -> None:
    digest = named(objects)
    for lost, said in (((), digest), ((PATH,), digest), ((PATH,), None), (("commits/1.json",), digest)):
        for path in lost:
            objects.delete(path)
        before = content(objects)
        with pytest.raises(CorruptObjectError, match="task 1 comes out with other bytes"):
            restore_task(objects, frozen, 1, other, named=said, rewrite=False)
        assert content(objects) == before
        objects = LocalObjects(Path(objects.uri))
    assert restore_task(objects, frozen, 1, other, named=None, rewrite=False), "nothing says what it was"


def test_other_bytes_replace_the_whole_task_and_its_commit_last(
    objects: LocalObjects, frozen: FrozenRecipe, other: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, str]] = []
    for name in ("put", "put_new", "delete"):
        original = getattr(LocalObjects, name)

        def recorded(
            self: LocalObjects, path: str, *data: bytes, name: str = name, original: object = original
        ) -> bool:
            steps.append((name, path))
            return bool(original(self, path, *data))  # type: ignore[operator]

        monkeypatch.setattr(LocalObjects, name, recorded)
    restore_task(objects, frozen, 1, other, named=named(objects), rewrite=True)
    assert steps[0] == ("delete", "commits/1.json")
    assert steps[-1] == ("put_new", "commits/1.json")
    for path, stored in load_commit(objects, 1).objects.items():
        assert sha256_hex(objects.get(path)) == stored.sha256 == sha256_hex(other[path].data)
