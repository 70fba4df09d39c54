"""Whatever is damaged is as it was, byte for byte, or is said to be lost."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Silent
from actstore.errors import ManifestError, RecipeChangedError, StorageUnavailableError, StoreError, UsageError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.read.open import open_manifest
from actstore.store.write.commit import load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.testing.fake_model import FakeModel
from actstore.view.care_reports import RepairReport
from actstore.workflows.care import repair as repair_module
from actstore.workflows.care.examine import examine
from actstore.workflows.care.repair import repair_store, repair_with
from actstore.workflows.export_manifest import export_manifest
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.damage import KINDS, PARTNERS, SPOILS, OtherProcessor, copy_objects, in_memory, objects_in

StoreOf = Callable[..., Path]
LOST = {"sequences.parquet"}
"""What nothing else in a store can be made into."""


@pytest.fixture(params=["a directory", "memory://"])
def objects(request: pytest.FixtureRequest, store_of: StoreOf, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store that the test may spoil."""
    if request.param == "memory://":
        with in_memory() as there:
            copy_objects(store_of(), there)
            yield there
    else:
        yield LocalObjects(shutil.copytree(store_of(), tmp_path / "own"))


@pytest.fixture
def local(own_store: StoreOf) -> LocalObjects:
    return LocalObjects(own_store())


def fake(frozen: FrozenRecipe) -> ActivationModel:
    return FakeModel()


def no_model(frozen: FrozenRecipe) -> ActivationModel:
    raise AssertionError("no task has to be extracted")


def repair(
    objects: ObjectStore, model: Callable[[FrozenRecipe], ActivationModel] = fake, **options: Any
) -> RepairReport:
    return repair_with(model, objects, **options)


def edit(objects: ObjectStore, path: str, change: Callable[[Any], None]) -> None:
    document = json.loads(objects.get(path))
    change(document)
    objects.put(path, canonical_json(document))


def test_a_sound_store_is_left_alone(objects: ObjectStore) -> None:
    before = objects_in(objects)
    report = repair(objects, no_model)
    assert (report.ok, report.faults, report.tasks, report.written, report.left) == (True, (), (), (), ())
    assert report.manifest_before == report.manifest_sha256 == sha256_hex(before["manifest.json"])
    assert objects_in(objects) == before


@pytest.mark.parametrize(("path", "task"), [item for item in KINDS.items() if item[0] not in LOST])
class TestOneObject:
    @pytest.mark.parametrize("how", [None, "middle byte flipped"])
    def test_is_as_it_was(self, how: str | None, path: str, task: int | None, objects: ObjectStore) -> None:
        before = objects_in(objects)
        if how is None:
            objects.delete(path)
        else:
            objects.put(path, SPOILS[how](before[path]))
        report = repair(objects, no_model if task is None else fake)
        assert (report.ok, report.left) == (True, ())
        assert report.tasks == (() if task is None else (task,))
        assert report.rows_extracted == (0 if task is None else 1024)
        assert path in report.written
        assert report.manifest_sha256 == sha256_hex(before["manifest.json"])
        assert objects_in(objects) == before

    def test_is_only_spoken_of_in_a_dry_run(self, path: str, task: int | None, local: LocalObjects) -> None:
        local.delete(path)
        before = objects_in(local)
        report = repair(local, no_model, dry_run=True)
        assert (report.ok, report.dry_run, report.left) == (False, True, ())
        assert report.tasks == (() if task is None else (task,))
        assert path in report.written
        assert objects_in(local) == before


@pytest.mark.parametrize(("first", "second"), [pair for pair in PARTNERS.items() if pair[0] != "recipe.json"])
def test_swapped_objects_are_back_in_their_places(first: str, second: str, local: LocalObjects) -> None:
    before = objects_in(local)
    local.put(first, before[second])
    local.put(second, before[first])
    assert repair(local).ok
    assert objects_in(local) == before


def test_only_what_is_damaged_is_written(local: LocalObjects) -> None:
    local.delete("sites/embed/values/c/2/0")
    local.delete("rows/zarr.json")
    places = {path: local.local_path(path).stat().st_ino for path in local.sizes()}
    report = repair(local)
    assert set(report.written) == {"sites/embed/values/c/2/0", "rows/zarr.json"}
    assert places.items() <= {path: local.local_path(path).stat().st_ino for path in local.sizes()}.items()


def test_much_at_once(objects: ObjectStore) -> None:
    before = objects_in(objects)
    for path in ("commits/0.json", "rows/token/c/1", "zarr.json", "sites/embed/channel/c/0", "recipe.json"):
        objects.delete(path)
    objects.put("commits/2.json", before["commits/3.json"])
    objects.put("scales/row/c/3/0", before["scales/row/c/4/0"])
    report = repair(objects)
    assert (report.ok, report.tasks) == (True, (0, 1, 2, 3))
    assert objects_in(objects) == before


def test_an_exported_manifest_of_before_still_fits(local: LocalObjects, tmp_path: Path) -> None:
    shared = tmp_path / "shared.json"
    digest = export_manifest(local.uri, shared).digest
    for path in ("manifest.json", "recipe.json"):
        data = local.get(path)
        local.put(path, b"{}")
        assert not repair(local, dry_run=path == "manifest.json").left
        local.put(path, data)
    local.delete("sites/embed/values/c/2/0")
    local.delete("manifest.json")
    assert repair(local).manifest_sha256 == digest
    assert open_manifest(shared).digest == digest


class TestNamedTasks:
    def test_are_extracted_again_whatever_their_state(self, objects: ObjectStore) -> None:
        before = objects_in(objects)
        report = repair(objects, tasks=[1, 3])
        assert (report.ok, report.tasks, report.written) == (True, (1, 3), ())
        assert objects_in(objects) == before

    def test_and_no_others(self, objects: ObjectStore) -> None:
        before = objects_in(objects)
        objects.delete("rows/token/c/1")
        objects.delete("commits/2.json")
        report = repair(objects, tasks=[2])
        assert (report.ok, report.tasks) == (True, (2,))
        assert objects_in(objects).keys() == before.keys() - {"rows/token/c/1"}

    @pytest.mark.parametrize("task", [-1, 10_000])
    def test_that_do_not_exist_are_refused(self, task: int, local: LocalObjects) -> None:
        with pytest.raises(UsageError, match=f"no task {task}"):
            repair(local, tasks=[task])

    def test_that_were_never_extracted_are_refused(self, local: LocalObjects) -> None:
        for path in ("manifest.json", "commits/2.json"):
            local.delete(path)
        match = r"task 2 was never extracted.*extract it with 'actstore extract --store URI'"
        with pytest.raises(UsageError, match=match):
            repair(local, tasks=[2])


class TestWhatIsLost:
    @pytest.mark.parametrize("data", [b"", b"PAR1", None])
    def test_sequences(self, data: bytes | None, objects: ObjectStore) -> None:
        if data is None:
            objects.delete("sequences.parquet")
        else:
            objects.put("sequences.parquet", data)
        objects.delete("rows/token/c/2")
        objects.delete("zarr.json")
        digest = json.loads(objects.get("recipe.json"))["sequences_sha256"]
        report = repair(objects, no_model)
        assert not report.ok
        assert [fault.object for fault in report.left] == ["sequences.parquet", "commits/2.json"]
        assert f"put back a copy (sha256 {digest})" in report.left[0].problem
        assert "cannot be extracted without sequences.parquet" in report.left[1].problem
        assert "zarr.json" in objects.sizes(), "what can be made again is"

    def test_the_recipe_together_with_the_manifest(self, objects: ObjectStore) -> None:
        objects.put("recipe.json", b"{}")
        objects.put("manifest.json", b"{}")
        before = objects_in(objects)
        report = repair(objects, no_model)
        assert not report.ok
        assert {fault.object for fault in report.left} == {"recipe.json", "manifest.json"}
        assert "there is no manifest to make it from: put back a copy" in str(report.left)
        assert objects_in(objects) == before

    def test_a_commit_together_with_the_manifest_is_extracted_by_the_next_run(self, local: LocalObjects) -> None:
        local.put("manifest.json", b"{}")
        local.delete("commits/2.json")
        report = repair(local, no_model)
        assert [fault.object for fault in report.left] == ["manifest.json"]
        assert "'actstore extract --store URI' extracts them and writes it" in report.left[0].problem


class TestAManifestThatIsWrong:
    def test_is_written_again_without_extracting_anything(self, objects: ObjectStore, store_of: StoreOf) -> None:
        before = objects_in(objects)

        def another_commit(manifest: dict[str, Any]) -> None:
            manifest["commits"][1] = "0" * 64

        def other_statistics(manifest: dict[str, Any]) -> None:
            manifest["statistics"]["embed"]["mean_norm"] = 1.0

        for change in (another_commit, other_statistics):
            edit(objects, "manifest.json", change)
            report = repair(objects, no_model)
            assert (report.ok, report.written) == (True, ("manifest.json",))
            assert report.manifest_before != report.manifest_sha256
            assert objects_in(objects) == before
        objects.put("manifest.json", (store_of(seed=1) / "manifest.json").read_bytes())
        assert repair(objects, no_model).ok
        assert objects_in(objects) == before

    def test_is_found_behind_another_fault(self, objects: ObjectStore) -> None:
        before = objects_in(objects)

        def other_statistics(manifest: dict[str, Any]) -> None:
            manifest["statistics"]["embed"]["mean_norm"] = 1.0

        edit(objects, "manifest.json", other_statistics)
        objects.delete("rows/token/c/1")
        assert repair(objects).ok
        assert objects_in(objects) == before


def test_without_a_manifest_a_commit_that_was_edited_is_seen_through(objects: ObjectStore) -> None:
    """Nothing says what the commit was; but its objects come out as they are stored, so it is the commit that lies."""
    before = objects_in(objects)

    def other_digest(commit: dict[str, Any]) -> None:
        commit["objects"]["rows/token/c/1"]["sha256"] = "0" * 64

    edit(objects, "commits/1.json", other_digest)
    objects.delete("manifest.json")
    assert repair(objects).ok
    assert objects_in(objects) == before


def test_a_commit_of_a_task_that_does_not_exist_is_removed(objects: ObjectStore) -> None:
    before = objects_in(objects)
    objects.put("commits/99.json", before["commits/1.json"])
    report = repair(objects, no_model)
    assert (report.ok, report.written) == (True, ("commits/99.json",))
    assert objects_in(objects) == before


def test_an_unfinished_store_is_repaired_as_far_as_it_goes(objects: ObjectStore) -> None:
    for path in ("manifest.json", "commits/3.json"):
        objects.delete(path)
    before = objects_in(objects)
    for path in ("rows/token/c/1", "rows/zarr.json"):
        objects.delete(path)
    objects.put("sites/embed/center/c/0", b"x" * 64)
    objects.put("commits/2.json", b"{}")
    report = repair(objects)
    assert (report.ok, report.tasks, report.manifest_sha256) == (True, (1, 2), None)
    assert objects_in(objects) == before


class TestOtherBytes:
    """The task comes out otherwise than it was committed, as on another kind of processor."""

    @pytest.mark.parametrize("lost", ["sites/embed/values/c/2/0", "commits/2.json"])
    def test_are_refused(self, lost: str, objects: ObjectStore) -> None:
        objects.delete(lost)
        before = objects_in(objects)
        report = repair(objects, lambda frozen: OtherProcessor())
        assert not report.ok
        assert [fault.object for fault in report.left] == ["commits/2.json"]
        assert "task 2 comes out with other bytes than it was committed with" in report.left[0].problem
        assert "--rewrite" in report.left[0].problem
        assert objects_in(objects) == before

    def test_are_refused_without_a_manifest_too(self, objects: ObjectStore) -> None:
        for lost in ("sites/embed/values/c/2/0", "manifest.json"):
            objects.delete(lost)
        before = objects_in(objects)
        report = repair(objects, lambda frozen: OtherProcessor())
        assert [fault.object for fault in report.left] == ["commits/2.json", "manifest.json"]
        assert objects_in(objects) == before

    @pytest.mark.parametrize("lost", ["sites/embed/values/c/2/0", "commits/2.json"])
    @pytest.mark.parametrize("tasks", [None, [2]])
    def test_are_taken_if_told_so(
        self, tasks: list[int] | None, lost: str, local: LocalObjects, tmp_path: Path
    ) -> None:
        export_manifest(local.uri, tmp_path / "shared.json")
        before = objects_in(local)
        local.delete(lost)
        report = repair(local, lambda frozen: OtherProcessor(), rewrite=True, tasks=tasks)
        assert report.ok
        assert report.manifest_before != report.manifest_sha256
        assert not examine(local, progress=Silent()).faults
        changed = {path for path, data in objects_in(local).items() if data != before[path]}
        assert changed - {"manifest.json", "commits/2.json"}
        assert all("/c/2" in path for path in changed - {"manifest.json", "commits/2.json"})
        with pytest.raises(ManifestError, match="the commit of task 2"):
            open_manifest(tmp_path / "shared.json")

    def test_of_a_task_that_was_named_though_sound(self, local: LocalObjects) -> None:
        report = repair(local, lambda frozen: OtherProcessor(), tasks=[1])
        assert not report.ok
        assert repair(local, lambda frozen: OtherProcessor(), tasks=[1], rewrite=True).ok
        assert not examine(local, progress=Silent()).faults

    def test_metadata_of_another_version_of_zarr(self, local: LocalObjects) -> None:
        document = json.loads(local.get("rows/token/zarr.json"))
        written = json.dumps(document | {"new_member": []}).encode()
        local.delete("manifest.json")
        local.put("rows/token/zarr.json", written)
        assert repair(local, no_model).ok
        digest = sha256_hex(local.get("manifest.json"))
        local.delete("rows/token/zarr.json")
        report = repair(local, no_model)
        assert "accept the change and a new manifest with --rewrite" in report.left[0].problem
        assert "rows/token/zarr.json" not in local.sizes()
        assert repair(local, no_model, rewrite=True).manifest_sha256 != digest
        assert not examine(local, progress=Silent()).faults


def test_another_model_is_refused_and_nothing_is_written(local: LocalObjects) -> None:
    local.delete("rows/token/c/2")
    before = objects_in(local)
    with pytest.raises(RecipeChangedError, match="was begun with weights"):
        repair(local, lambda frozen: FakeModel(seed=1))
    assert objects_in(local) == before


class _Killed(BaseException):
    """Not an error that anything could catch and go on."""


class _Stopping(LocalObjects):
    """Stops when a number of objects have been written or removed."""

    left = 0

    def put(self, path: str, data: bytes) -> None:
        super().put(path, data)
        self._count()

    def put_new(self, path: str, data: bytes) -> bool:
        created = super().put_new(path, data)
        if created:
            self._count()
        return created

    def delete(self, path: str) -> None:
        super().delete(path)
        self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise _Killed


def damage(folder: Path) -> None:
    objects = LocalObjects(folder)
    before = objects_in(objects)
    for path in ("sites/embed/values/c/2/0", "rows/zarr.json", "commits/1.json", "recipe.json"):
        objects.delete(path)
    objects.put("statistics/m2/c/2/0/0", b"x")
    objects.put("commits/3.json", before["commits/4.json"])
    edit(objects, "manifest.json", lambda manifest: manifest["stored"].update(total=1))


@pytest.mark.parametrize("rewrite", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_after_any_write_it_can_be_repeated_and_no_commit_ever_lies(
    rewrite: bool, store_of: StoreOf, tmp_path: Path
) -> None:
    """Other bytes are rewritten, the same bytes restored; at every moment there is damage, no commit, or good data."""

    def model(frozen: FrozenRecipe) -> ActivationModel:
        return OtherProcessor() if rewrite else FakeModel()

    wanted: dict[str, bytes] = {}
    kills = 0
    while True:
        folder = shutil.copytree(store_of(), tmp_path / str(kills))
        damage(folder)
        planted = {(fault.object, fault.task) for fault in examine(LocalObjects(folder), progress=Silent()).faults}
        stopping = _Stopping(folder)
        stopping.left = kills + 1
        try:
            repair(stopping, model, rewrite=rewrite)
        except _Killed:
            kills += 1
        else:
            break
        there = LocalObjects(folder)
        for task in range(6):
            if (folder / f"commits/{task}.json").exists() and (f"commits/{task}.json", task) not in planted:
                for path, stored in load_commit(there, task).objects.items():
                    named = (path, task) in planted or sha256_hex(there.get(path)) == stored.sha256
                    assert named, f"after {kills} writes commit {task} vouches for {path}"
        assert repair(there, model, rewrite=rewrite).ok
        assert not examine(there, progress=Silent()).faults
        wanted = wanted or objects_in(there)
        assert objects_in(there) == wanted, f"after {kills} writes"
        shutil.rmtree(folder)
    assert kills > (30 if rewrite else 7)
    if not rewrite:
        assert wanted == objects_in(LocalObjects(store_of()))


class TestWhatTheStorageDoesNotTake:
    @pytest.mark.parametrize("path", ["rows/token/c/2", "commits/2.json", "zarr.json", "manifest.json"])
    def test_a_folder_in_place_of_an_object_stops_nothing_else(self, path: str, local: LocalObjects) -> None:
        before = objects_in(local)
        for lost in (path, "rows/token/c/1", "rows/zarr.json"):
            local.delete(lost)
        local.local_path(path).mkdir()
        report = repair(local)
        assert not report.ok
        assert (path, "a folder lies in its place; remove it") in {(one.object, one.problem) for one in report.left}
        assert {one.object for one in report.left} <= {path, "manifest.json"}
        assert report.tasks == (1,)
        assert objects_in(local) == {name: data for name, data in before.items() if name != path}
        local.local_path(path).rmdir()
        assert repair(local).ok
        assert objects_in(local) == before

    def test_is_left_and_named_while_other_tasks_are_repaired(
        self, local: LocalObjects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("rows/token/c/1", "rows/token/c/2"):
            local.delete(path)
        put = LocalObjects.put

        def refuse(self: LocalObjects, path: str, data: bytes) -> None:
            if path == "rows/token/c/1":
                raise StoreError("rows/token/c/1 cannot be written: Permission denied")
            put(self, path, data)

        monkeypatch.setattr(LocalObjects, "put", refuse)
        report = repair(local)
        assert not report.ok
        assert report.written == ("rows/token/c/2",)
        assert ("commits/1.json", 1) in {(one.object, one.task) for one in report.left}
        assert "rows/token/c/1 cannot be written: Permission denied" in str(report.left)

    def test_but_storage_that_is_out_of_reach_ends_it(
        self, local: LocalObjects, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        local.delete("rows/token/c/1")

        def fail(self: LocalObjects, path: str, data: bytes) -> None:
            raise StorageUnavailableError("no answer")

        monkeypatch.setattr(LocalObjects, "put", fail)
        with pytest.raises(StorageUnavailableError):
            repair(local)


@pytest.mark.parametrize("path", ["rows/token/c/2", "commits/2.json", "zarr.json", "manifest.json"])
def test_a_pipe_or_something_huge_is_replaced(path: str, local: LocalObjects) -> None:
    before = objects_in(local)
    local.delete(path)
    os.mkfifo(local.local_path(path))
    assert repair(local).ok
    assert objects_in(local) == before
    os.truncate(local.local_path(path), 1 << 40)
    assert repair(local).ok
    assert objects_in(local) == before


def test_the_examination_counts_as_time_spent(local: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def slow(*arguments: Any, **options: Any) -> Any:
        clock[0] += 100.0
        return examine(*arguments, **options)

    monkeypatch.setattr(repair_module, "examine", slow)
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    assert repair(local).seconds == 100.0


class TestTheCommand:
    def test_repairs_metadata_and_says_so(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "zarr.json").unlink()
        planned = actstore("repair", store, "--dry-run", "--json")
        assert (planned.code, planned.document["ok"], planned.document["written"]) == (1, False, ["zarr.json"])
        assert not (store / "zarr.json").exists()
        done = actstore("repair", store, "--json", "--quiet")
        assert (done.code, done.document["ok"], done.document["written"]) == (0, True, ["zarr.json"])
        assert "no damage" in actstore("repair", store).out

    def test_leaves_with_0_after_a_dry_run_that_found_nothing_to_do(self, store_of: StoreOf) -> None:
        done = actstore("repair", store_of(), "--dry-run", "--json")
        assert (done.code, done.document["ok"]) == (0, True)

    def test_leaves_with_1_if_something_is_left(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "sequences.parquet").unlink()
        done = actstore("repair", store)
        assert done.code == 1
        assert "Cannot be repaired" in done.out


@pytest.mark.slow
def test_a_store_of_a_real_model_is_repaired_with_the_model_that_its_recipe_names(
    tiny_store: StoreOf, tmp_path: Path
) -> None:
    store = shutil.copytree(tiny_store(), tmp_path / "store")
    before = objects_in(LocalObjects(store))
    for path in ("sites/embed/values/c/1/0", "commits/2.json", "zarr.json"):
        (store / path).unlink()
    report = repair_store(str(store))
    assert (report.ok, report.tasks) == (True, (1, 2))
    assert objects_in(LocalObjects(store)) == before
