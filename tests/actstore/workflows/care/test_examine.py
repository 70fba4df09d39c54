"""Damage of every kind is planted into every kind of object; all of it is found, and nothing else."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.progress import Silent
from actstore.errors import StoreNotFoundError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.write.commit import load_commit
from actstore.workflows.care.examine import Examination, examine
from actstore.workflows.extract import extract_with
from tests.actstore.workflows.damage import KINDS, PARTNERS, SPOILS, OtherProcessor, copy_objects, in_memory, objects_in

StoreOf = Callable[..., Path]
Places = set[tuple[str, int | None]]


@pytest.fixture(params=["a directory", "memory://"])
def objects(request: pytest.FixtureRequest, store_of: StoreOf, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store that the test may spoil."""
    if request.param == "memory://":
        with in_memory() as there:
            copy_objects(store_of(), there)
            yield there
    else:
        yield LocalObjects(shutil.copytree(store_of(), tmp_path / "own"))


@pytest.fixture(scope="session")
def older(store_of: StoreOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the same recipe of which another processor did every task."""
    folder = tmp_path_factory.mktemp("older") / "store"
    folder.mkdir()
    for name in ("recipe.json", "sequences.parquet"):
        shutil.copy(store_of() / name, folder / name)
    extract_with(OtherProcessor(), LocalObjects(folder), None)
    return folder


def look(objects: ObjectStore, **options: Any) -> Examination:
    return examine(objects, progress=Silent(), **options)


def places(found: Examination) -> Places:
    return {(fault.object, fault.task) for fault in found.faults}


def problem(found: Examination) -> str:
    [fault] = found.faults
    return fault.problem


def edit(objects: ObjectStore, path: str, change: Callable[[Any], None]) -> None:
    document = json.loads(objects.get(path))
    change(document)
    objects.put(path, canonical_json(document))


def test_a_sound_store_has_no_faults_and_nothing_that_is_not_named(objects: ObjectStore) -> None:
    found = look(objects)
    assert (found.faults, found.unnamed) == ((), ())
    assert found.frozen is not None
    assert len(found.commits) == found.frozen.tasks
    # All but recipe and manifest, which are read to begin with, and the commits.
    assert found.objects == len(objects.sizes()) - 2 - found.frozen.tasks


@pytest.mark.parametrize(("path", "task"), KINDS.items())
class TestEveryKindOfObject:
    def test_missing(self, path: str, task: int | None, objects: ObjectStore) -> None:
        objects.delete(path)
        found = look(objects)
        assert places(found) == {(path, task)}
        assert "missing" in problem(found)

    def test_spoiled(self, path: str, task: int | None, objects: ObjectStore) -> None:
        data = objects.get(path)
        for how in SPOILS if isinstance(objects, LocalObjects) else ["half", "middle byte flipped"]:
            objects.put(path, SPOILS[how](data))
            assert places(look(objects)) == {(path, task)}, how
        objects.put(path, data)
        assert not look(objects).faults


@pytest.mark.parametrize(("first", "second"), PARTNERS.items())
def test_two_objects_swapped(first: str, second: str, objects: ObjectStore) -> None:
    contents = objects.get(first), objects.get(second)
    objects.put(first, contents[1])
    objects.put(second, contents[0])
    assert places(look(objects)) == {(path, task_of(path)) for path in (first, second)}


def task_of(path: str) -> int | None:
    name, _, key = path.partition("/c/")
    if name.startswith("commits/"):
        return int(name.removeprefix("commits/").removesuffix(".json"))
    return int(key.split("/")[0]) if key and not name.endswith(("center", "channel")) else None


@pytest.mark.parametrize(("path", "task"), [(path, task) for path, task in KINDS.items() if task is not None])
def test_one_that_is_older_than_its_commit(path: str, task: int, objects: ObjectStore, older: Path) -> None:
    before, after = (older / path).read_bytes(), objects.get(path)
    objects.put(path, before)
    assert places(look(objects)) == (set() if before == after else {(path, task)})
    assert path.startswith(("rows/", "statistics/count")) == (before == after)


def test_a_commit_of_another_recipe(objects: ObjectStore, store_of: StoreOf) -> None:
    objects.put("commits/2.json", (store_of(seed=1) / "commits/2.json").read_bytes())
    found = look(objects)
    assert places(found) == {("commits/2.json", 2)}
    assert "the manifest says" in problem(found)
    assert "was made under another recipe" in problem(found)
    objects.delete("manifest.json")
    assert ("commits/2.json", 2) in places(look(objects))


class TestTheManifest:
    def test_of_older_commits(self, objects: ObjectStore, older: Path) -> None:
        objects.put("manifest.json", (older / "manifest.json").read_bytes())
        found = look(objects)
        assert places(found) == {("manifest.json", None)}
        assert "all its objects are as this commit says (and " in problem(found)

    def test_of_another_recipe(self, objects: ObjectStore, store_of: StoreOf) -> None:
        objects.put("manifest.json", (store_of(seed=1) / "manifest.json").read_bytes())
        found = look(objects)
        assert places(found) == {("manifest.json", None)}
        assert found.manifest is None
        assert "belongs to another recipe than the commits" in problem(found)

    EDITS: tuple[tuple[str, Any, Any], ...] = (
        ("commits", 1, "0" * 64),
        ("commits", 1, None),
        ("metadata", "rows/zarr.json", "0" * 64),
        ("metadata", "sequences.parquet", "0" * 64),
        ("metadata", "sites/embed/center/c/0", None),
        ("metadata", "../../etc/passwd", "0" * 64),
        ("stored", "total", 1),
        ("statistics", "embed", None),
    )

    @pytest.mark.parametrize(("section", "key", "value"), EDITS)
    def test_edited(self, section: str, key: Any, value: Any, objects: ObjectStore) -> None:
        def change(manifest: dict[str, Any]) -> None:
            if section == "statistics":
                manifest[section][key]["mean_norm"] *= 1.0001
            elif value is None and section == "metadata":
                del manifest[section][key]
            else:
                manifest[section][key] = value

        edit(objects, "manifest.json", change)
        assert places(look(objects)) == {("manifest.json", None)}

    def test_with_a_place_or_other_white_space(self, objects: ObjectStore) -> None:
        before = json.loads(objects.get("manifest.json"))
        for data in (canonical_json(before | {"uri": "s3://elsewhere"}), json.dumps(before).encode()):
            objects.put("manifest.json", data)
            assert places(look(objects)) == {("manifest.json", None)}

    def test_one_that_names_a_commit_which_is_gone(self, objects: ObjectStore) -> None:
        objects.delete("commits/1.json")
        assert places(look(objects)) == {("commits/1.json", 1)}

    def test_missing_together_with_an_object(self, objects: ObjectStore) -> None:
        for lost in ("manifest.json", "rows/token/c/2"):
            objects.delete(lost)
        assert places(look(objects)) == {("manifest.json", None), ("rows/token/c/2", 2)}


class TestWhoIsBelieved:
    """Where two documents contradict each other, the rest of the store decides."""

    def change(self, frozen: dict[str, Any]) -> None:
        frozen["recipe"]["rows"]["fraction"] = 0.5

    def test_an_edited_recipe_has_the_commits_against_it(self, objects: ObjectStore) -> None:
        edit(objects, "recipe.json", self.change)
        assert places(look(objects)) == {("recipe.json", None)}
        objects.delete("manifest.json")
        found = look(objects)
        assert places(found) == {("recipe.json", None)}
        assert "was made with another recipe" in problem(found)
        assert found.frozen is None

    def test_a_recipe_in_other_white_space_is_still_that_recipe(self, objects: ObjectStore) -> None:
        objects.put("recipe.json", json.dumps(json.loads(objects.get("recipe.json"))).encode())
        found = look(objects)
        assert places(found) == {("recipe.json", None)}
        assert found.frozen is not None
        objects.delete("manifest.json")
        assert places(look(objects)) == {("recipe.json", None), ("manifest.json", None)}

    def test_a_commit_with_wrong_checksums_is_at_fault_and_not_its_object(self, objects: ObjectStore) -> None:
        def other_checksums(commit: dict[str, Any]) -> None:
            stored = commit["objects"]
            first, second = "sites/embed/values/c/1/0", "sites/final_norm/values/c/1/0"
            stored[first]["crc32c"] = stored[second]["crc32c"]

        edit(objects, "commits/1.json", other_checksums)
        assert places(look(objects)) == {("commits/1.json", 1)}
        objects.delete("manifest.json")
        assert places(look(objects)) == {("commits/1.json", 1), ("manifest.json", None)}

    def test_a_manifest_of_which_no_commit_is_left_is_believed(self, objects: ObjectStore) -> None:
        for path in objects.sizes("commits"):
            objects.delete(path)
        found = look(objects)
        assert found.frozen is not None
        assert places(found) == {(f"commits/{task}.json", task) for task in range(found.frozen.tasks)}


class TestCompressedShards:
    def test_checksums_of_their_chunks_are_compared(self, own_store: StoreOf) -> None:
        objects = LocalObjects(own_store(**{"store.compressor": "zstd"}))
        assert not look(objects).faults
        commit = load_commit(objects, 1)
        path = "sites/embed/values/c/1/0"
        first = commit.objects[path]
        other = first.model_copy(update={"crc32c": commit.objects["sites/final_norm/values/c/1/0"].crc32c})
        edited = commit.model_copy(update={"objects": commit.objects | {path: other}})
        objects.put("commits/1.json", edited.to_json())
        objects.delete("manifest.json")
        assert places(look(objects)) == {("commits/1.json", 1), ("manifest.json", None)}

    @pytest.mark.parametrize("how", SPOILS)
    def test_spoiled(self, how: str, own_store: StoreOf) -> None:
        objects = LocalObjects(own_store(**{"store.compressor": "zstd"}))
        path = "sites/resid_post.1/values/c/2/0"
        objects.put(path, SPOILS[how](objects.get(path)))
        assert places(look(objects)) == {(path, 2)}


class TestWhatNothingNames:
    FOREIGN = (
        "notes.txt",
        "commits/notes.txt",
        "commits/07.json",
        "commits/1",
        "commits/-1.json",
        "commits/1.json.bak",
        "commits/old/1.json",
        "rows/token/c/77",
        "rows/token/c/02",
        "rows/token/c/x",
        "sites/embed/values/c/2/1",
        "sites/other/values/c/2/0",
        "sites/other/zarr.json",
        "statistics/count/c/2/0.bak",
    )

    def test_is_listed_and_no_fault(self, objects: ObjectStore) -> None:
        for path in self.FOREIGN:
            objects.put(path, b"foreign")
        found = look(objects)
        assert not found.faults
        assert [one.object for one in found.unnamed] == sorted(self.FOREIGN)
        assert {one.bytes for one in found.unnamed} == {7}

    def test_leftovers_of_a_task_without_a_commit_are_listed(self, objects: ObjectStore) -> None:
        for path in ("manifest.json", "commits/1.json"):
            objects.delete(path)
        found = look(objects)
        assert not found.faults
        assert found.unnamed
        assert {one.reason for one in found.unnamed} == {"task 1 has no commit"}
        assert all(one.object.split("/c/")[1].split("/")[0] == "1" for one in found.unnamed)

    def test_a_commit_of_a_task_that_does_not_exist_is_a_fault(self, objects: ObjectStore) -> None:
        objects.put("commits/99.json", objects.get("commits/1.json"))
        assert places(look(objects)) == {("commits/99.json", 99)}


class TestOnlySomeTasks:
    def test_nothing_else_is_looked_at(self, objects: ObjectStore) -> None:
        for path in ("rows/token/c/2", "rows/token/c/3", "commits/4.json"):
            objects.delete(path)
        assert places(look(objects, tasks=[1])) == set()
        assert places(look(objects, tasks=[2])) == {("rows/token/c/2", 2)}
        assert places(look(objects, tasks=[4])) == {("commits/4.json", 4)}


class TestAnUnfinishedStore:
    def test_metadata_are_compared_with_the_recipe(self, objects: ObjectStore) -> None:
        for path in ("manifest.json", "commits/1.json"):
            objects.delete(path)
        assert not look(objects).faults
        for path, spoiled in (
            ("sites/embed/center/c/0", b"x" * 64),
            ("rows/token/zarr.json", b"{}"),
            ("rows/token/zarr.json", b"[" * 100_000),
            ("rows/token/zarr.json", objects.get("rows/position/zarr.json")),
        ):
            before = objects.get(path)
            objects.put(path, spoiled)
            assert places(look(objects)) == {(path, None)}
            objects.delete(path)
            assert places(look(objects)) == {(path, None)}
            objects.put(path, before)

    def test_metadata_as_another_version_of_zarr_writes_them_are_as_good(self, objects: ObjectStore) -> None:
        objects.delete("manifest.json")
        objects.delete("commits/1.json")
        document = json.loads(objects.get("rows/token/zarr.json"))
        assert document.pop("storage_transformers") == []
        objects.put("rows/token/zarr.json", json.dumps(document | {"new_member": []}).encode())
        assert not look(objects).faults

    def test_metadata_that_say_more_than_the_recipe_are_a_fault(self, objects: ObjectStore) -> None:
        document = json.loads(objects.get("rows/token/zarr.json"))
        objects.put("rows/token/zarr.json", json.dumps(document | {"new_member": 0}).encode())
        assert places(look(objects)) == {("rows/token/zarr.json", None)}

    def test_what_the_next_run_completes_is_no_fault(self, objects: ObjectStore) -> None:
        keep = {"recipe.json": b"", "sequences.parquet": b""}
        for path in objects_in(objects).keys() - keep.keys():
            objects.delete(path)
        found = look(objects)
        assert (found.faults, found.commits) == ((), ())

    def test_where_there_is_nothing_there_is_no_store(self) -> None:
        with pytest.raises(StoreNotFoundError):
            look(open_objects(f"memory://{uuid4().hex}/store"))

    def test_commits_without_a_recipe_are_a_store_that_lost_it(self, objects: ObjectStore) -> None:
        for path in ("recipe.json", "manifest.json"):
            objects.delete(path)
        assert places(look(objects)) == {("recipe.json", None)}


@pytest.mark.parametrize(("path", "task"), KINDS.items())
class TestOnADirectory:
    def test_a_folder_in_place_of_an_object_is_said_to_be_one(
        self, path: str, task: int | None, own_store: StoreOf
    ) -> None:
        objects = LocalObjects(own_store())
        objects.delete(path)
        objects.local_path(path).mkdir()
        found = look(objects)
        assert places(found) == {(path, task)}
        assert problem(found) == "a folder lies in its place; remove it"

    def test_a_pipe_in_place_of_an_object_is_not_waited_for(
        self, path: str, task: int | None, own_store: StoreOf
    ) -> None:
        objects = LocalObjects(own_store())
        objects.delete(path)
        os.mkfifo(objects.local_path(path))
        found = look(objects)
        assert places(found) == {(path, task)}
        assert "is not a file" in problem(found)


def test_an_object_that_is_far_too_large_is_not_read_to_its_end(own_store: StoreOf) -> None:
    objects = LocalObjects(own_store())
    os.truncate(objects.local_path("rows/token/c/2"), 1 << 40)
    found = look(objects)
    assert places(found) == {("rows/token/c/2", 2)}
    assert problem(found).startswith("has more than ")


def test_the_digest_in_a_message_is_that_of_the_object(objects: ObjectStore) -> None:
    objects.put("rows/token/c/2", objects.get("rows/token/c/1"))
    there = sha256_hex(objects.get("rows/token/c/2"))[:12]
    assert problem(look(objects)).startswith(f"sha256 {there}..., should be ")
