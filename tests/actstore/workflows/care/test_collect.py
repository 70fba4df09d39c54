"""What is not part of a store is listed; old leftovers are removed if somebody says so; nothing else ever is."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.access.scratch import scratch_folder
from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError, ManifestError, StoreError, StoreNotFoundError, UsageError
from actstore.testing.fake_model import FakeModel
from actstore.view.care_reports import GarbageReport
from actstore.workflows.care import collect
from actstore.workflows.care.collect import collect_garbage
from actstore.workflows.care.examine import examine
from actstore.workflows.extract import extract_with
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.damage import copy_objects, in_memory, objects_in

StoreOf = Callable[..., Path]
DAY_S = 86_400.0
LEFTOVER = "rows/token/c/77"
"""An object of a task that the recipe does not have."""


@pytest.fixture(params=["a directory", "memory://"])
def objects(request: pytest.FixtureRequest, store_of: StoreOf, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory://":
        with in_memory() as there:
            copy_objects(store_of(), there)
            yield there
    else:
        yield LocalObjects(shutil.copytree(store_of(), tmp_path / "own"))


@pytest.fixture
def store(own_store: StoreOf) -> Path:
    return own_store()


def paths(report: GarbageReport) -> list[str]:
    return [one.object for one in report.garbage]


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_sound_store_has_none(objects: ObjectStore) -> None:
    before = objects_in(objects)
    report = collect_garbage(objects.uri, delete=True, older_than_s=0)
    assert (report.garbage, report.recent, report.bytes) == ((), (), 0)
    assert objects_in(objects) == before


def test_nothing_is_removed_without_being_told(objects: ObjectStore) -> None:
    objects.put(LEFTOVER, b"left")
    report = collect_garbage(objects.uri, older_than_s=0)
    assert (paths(report), report.bytes, report.deleted) == ([LEFTOVER], 4, False)
    assert objects.get(LEFTOVER) == b"left"


def test_names_that_actstore_does_not_give_are_listed_and_never_removed(objects: ObjectStore) -> None:
    mine = ("notes.txt", "commits/x.json", "rows/token/c/0.bak", "sites/embed/README", "runs/1/dictionary.safetensors")
    for path in mine:
        objects.put(path, b"mine")
    report = collect_garbage(objects.uri, delete=True, older_than_s=0)
    assert report.garbage == ()
    assert {one.object for one in report.foreign} == set(mine)
    assert {objects.get(path) for path in mine} == {b"mine"}


def test_leftovers_go_and_the_store_stays(objects: ObjectStore) -> None:
    before = objects_in(objects)
    other = ["commits/99.json", "sites/other/values/c/0/0", "sites/other/values/zarr.json", LEFTOVER]
    for path in other:
        objects.put(path, b"of another recipe")
    for path in ("manifest.json", "commits/2.json"):
        objects.delete(path)
    report = collect_garbage(objects.uri, delete=True, older_than_s=0)
    leftovers = [one.object for one in report.garbage if one.reason == "task 2 has no commit"]
    assert set(paths(report)) == {*other, *leftovers}
    assert leftovers
    gone = {"manifest.json", "commits/2.json", *leftovers}
    assert objects_in(objects) == {path: data for path, data in before.items() if path not in gone}
    extract_with(FakeModel(), objects, None)
    assert objects_in(objects) == before


def test_another_store_in_a_folder_is_left_alone(objects: ObjectStore, store_of: StoreOf) -> None:
    for path, data in objects_in(LocalObjects(store_of())).items():
        objects.put(f"runs/other/{path}", data)
    objects.put("runs/other/notes.txt", b"theirs")
    objects.put("runs/notes.txt", b"mine")
    before = objects_in(objects)
    for lost in ((), ("recipe.json",), ("manifest.json",), ("commits/0.json", "zarr.json")):
        for path in lost:
            before.pop(f"runs/other/{path}")
            objects.delete(f"runs/other/{path}")
        report = collect_garbage(objects.uri, delete=True, older_than_s=0)
        assert report.other_stores == ("runs/other",)
        assert paths(report) == []
        assert [one.object for one in report.foreign] == ["runs/notes.txt"]
        assert objects_in(objects) == before
        found = examine(objects, progress=Silent())
        assert (found.faults, found.other_stores) == ((), ("runs/other",))
        assert [one.object for one in found.unnamed] == ["runs/notes.txt"]


def test_no_empty_folders_are_left(store: Path) -> None:
    before = {path for path in store.rglob("*") if path.is_dir()}
    (store / "sites/other/values/c/0").mkdir(parents=True)
    (store / "sites/other/values/c/0/0").touch()
    collect_garbage(str(store), delete=True, older_than_s=0)
    assert {path for path in store.rglob("*") if path.is_dir()} == before


class TestTheGraceTime:
    def test_leaves_alone_what_may_be_somebodys_work(self, store: Path) -> None:
        young, old = "rows/token/c/77", "rows/token/c/78"
        for name, seconds in ((young, 3600.0), (old, 2 * DAY_S)):
            (store / name).write_bytes(b"x" * 10)
            age(store / name, seconds)
        report = collect_garbage(str(store), delete=True)
        assert (paths(report), report.bytes) == ([old], 10)
        assert [one.object for one in report.recent] == [young]
        assert report.recent[0].age_s == pytest.approx(3600, abs=60)
        assert (store / young).exists()
        assert not (store / old).exists()

    def test_is_a_day_unless_told_otherwise(self, store: Path) -> None:
        (store / LEFTOVER).touch()
        age(store / LEFTOVER, 0.9 * DAY_S)
        assert not collect_garbage(str(store)).garbage
        assert paths(collect_garbage(str(store), older_than_s=0.8 * DAY_S)) == [LEFTOVER]

    @pytest.mark.parametrize("older_than_s", [-1.0, float("nan")])
    def test_is_not_negative(self, older_than_s: float, store: Path) -> None:
        with pytest.raises(UsageError, match="older_than_s must be at least 0"):
            collect_garbage(str(store), older_than_s=older_than_s)

    def test_of_unknown_age_counts_as_young(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (store / LEFTOVER).touch()
        monkeypatch.setattr(LocalObjects, "modified", lambda self, prefix="": {})
        report = collect_garbage(str(store), delete=True, older_than_s=0)
        assert (report.garbage, report.recent[0].age_s) == ((), None)
        assert (store / LEFTOVER).exists()


class TestWhatIsDamagedIsNoGarbage:
    def test_objects_of_a_damaged_or_lost_commit(self, objects: ObjectStore) -> None:
        """They may be all that `repair` needs not make again."""
        before = objects_in(objects)
        objects.put("commits/1.json", b"{}")
        objects.delete("commits/2.json")
        report = collect_garbage(objects.uri, delete=True, older_than_s=0)
        assert report.garbage == ()
        assert objects_in(objects).keys() == before.keys() - {"commits/2.json"}

    @pytest.mark.parametrize("spoiled", ["recipe.json", "manifest.json"])
    def test_without_a_sound_recipe_and_manifest_nothing_is_done(self, spoiled: str, store: Path) -> None:
        (store / LEFTOVER).touch()
        (store / spoiled).write_bytes(b"{}")
        with pytest.raises((CorruptObjectError, ManifestError)):
            collect_garbage(str(store), delete=True, older_than_s=0)
        assert (store / LEFTOVER).exists()

    def test_nor_with_those_of_another_store(self, store: Path, store_of: StoreOf) -> None:
        shutil.copy(store_of(seed=1) / "manifest.json", store / "manifest.json")
        with pytest.raises(ManifestError, match="belongs to another recipe; run 'actstore repair URI' first"):
            collect_garbage(str(store), delete=True, older_than_s=0)

    def test_nor_with_a_recipe_that_was_edited(self, store: Path) -> None:
        (store / "recipe.json").write_bytes((store / "recipe.json").read_bytes() + b"\n")
        with pytest.raises(StoreError, match="was edited"):
            collect_garbage(str(store), delete=True, older_than_s=0)

    def test_where_there_is_no_store_nothing_is_garbage(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.tex").touch()
        with pytest.raises(StoreNotFoundError):
            collect_garbage(str(tmp_path), delete=True, older_than_s=0)
        assert (tmp_path / "thesis.tex").exists()


class TestWritesThatWereNotFinished:
    def test_go_with_their_writer(self, store: Path) -> None:
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        folder = store / ".partial"
        folder.mkdir()
        names = {
            "dead": f"{socket.gethostname()}-{dead.pid}-0badcafe.0000000000000000",
            "alive": f"{socket.gethostname()}-{os.getppid()}-0badcafe.0000000000000000",
            "elsewhere, old": "another-host-1-0badcafe.0000000000000000",
            "elsewhere, young": "another-host-1-0badcafe.1111111111111111",
        }
        for name in names.values():
            (folder / name).write_bytes(b"12345")
            age(folder / name, 2 * DAY_S)
        age(folder / names["elsewhere, young"], 60)
        with (folder / names["alive"]).open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.check_and_collect(store, names)

    def check_and_collect(self, store: Path, names: dict[str, str]) -> None:
        listed = collect_garbage(str(store))
        assert set(paths(listed)) == {f".partial/{names[name]}" for name in ("dead", "elsewhere, old")}
        assert [one.object for one in listed.recent] == [f".partial/{names['elsewhere, young']}"]
        collect_garbage(str(store), delete=True)
        left = {path.name for path in (store / ".partial").iterdir()}
        assert left == {names["alive"], names["elsewhere, young"]}

    def test_in_the_temporary_directory_go_too(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        with scratch_folder("workers") as folder:
            name = folder.name
        left = tmp_path / "temporary" / name
        left.mkdir()
        assert collect_garbage(str(store)).temporary == (str(left),)
        assert left.exists()
        shown = "".join(actstore("gc", store).out.split())
        assert f"temporary{left}:ofkilledruns,--deleteandthenextrunremovethem" in shown
        assert collect_garbage(str(store), delete=True).temporary == (str(left),)
        assert not left.exists()
        assert collect_garbage(str(store)).temporary == ()

    def test_are_told_from_files_of_others_beside_them(self, store: Path) -> None:
        (store / ".partial").mkdir()
        (store / ".partial" / "notes.txt").write_text("mine")
        (store / ".partial" / "another-host-1-0badcafe.0000000000000000").touch()
        report = collect_garbage(str(store), older_than_s=0)
        assert [one.reason for one in report.garbage] == ["a write that was not finished"]
        assert [(one.object, one.reason) for one in report.foreign] == [
            (".partial/notes.txt", "no writer gives this name")
        ]


def test_links_that_lead_nowhere_are_said_to_be_that(store: Path) -> None:
    shutil.rmtree(store / "sites/embed/values")
    (store / "sites/embed/values").symlink_to("values")
    (store / "gone").symlink_to("nowhere")
    found = {one.object: one.reason for one in collect_garbage(str(store)).foreign}
    assert found == dict.fromkeys(("sites/embed/values", "gone"), "a symbolic link that leads nowhere")


class TestATaskThatIsCommittedMeanwhile:
    @pytest.fixture
    def unfinished(self, store: Path) -> LocalObjects:
        objects = LocalObjects(store)
        for path in ("manifest.json", "commits/2.json"):
            objects.delete(path)
        return objects

    def test_is_no_garbage_any_more(self, unfinished: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
        """An extractor finds the leftovers as good as new just after they were listed, and commits the task."""
        interrupted = collect._interrupted

        def commit_first(objects: ObjectStore, now: float) -> Iterator[object]:
            extract_with(FakeModel(), unfinished, None)
            return interrupted(objects, now)

        monkeypatch.setattr(collect, "_interrupted", commit_first)
        collect_garbage(unfinished.uri, delete=True, older_than_s=0)
        assert not examine(unfinished, progress=Silent()).faults

    def test_is_an_error_if_its_objects_are_gone(
        self, unfinished: LocalObjects, monkeypatch: pytest.MonkeyPatch, store_of: StoreOf
    ) -> None:
        delete = LocalObjects.delete

        def commit_after(self: LocalObjects, path: str) -> None:
            delete(self, path)
            self.put("commits/2.json", (store_of() / "commits/2.json").read_bytes())

        monkeypatch.setattr(LocalObjects, "delete", commit_after)
        with pytest.raises(StoreError, match=r"task 2 was committed while.*'actstore repair URI --task 2'"):
            collect_garbage(unfinished.uri, delete=True, older_than_s=0)


class TestTheCommand:
    def test_lists_and_removes(self, store: Path) -> None:
        (store / LEFTOVER).write_bytes(b"x" * 2000)
        listed = actstore("gc", store, "--older-than", "0", "--json")
        assert (listed.code, listed.document["bytes"], listed.document["deleted"]) == (0, 2000, False)
        assert [one["object"] for one in listed.document["garbage"]] == [LEFTOVER]
        shown = actstore("gc", store, "--older-than", "0s")
        assert "1 object, 2.0 kB" in shown.out
        assert "--delete removes them" in shown.out
        assert "left alone" in actstore("gc", store).out
        assert (store / LEFTOVER).exists()
        assert "removed" in actstore("gc", store, "--older-than", "0", "--delete", "--quiet").out
        assert not (store / LEFTOVER).exists()

    def test_says_which_folders_are_other_stores(self, store: Path, store_of: StoreOf) -> None:
        shutil.copytree(store_of(), store / "other")
        assert actstore("gc", store, "--json").document["other_stores"] == ["other"]
        for command in (("gc", store), ("verify", store, "--no-recompute")):
            assert "other: not part of this one, and left alone" in " ".join(actstore(*command).out.split())

    @pytest.mark.parametrize("text", ["", "1", "d", "1 day", "-1d", "1w", "nan", "1e9d"])
    def test_a_grace_time_that_is_none_is_refused(self, text: str, store: Path) -> None:
        done = actstore("gc", store, f"--older-than={text}")
        assert done.code == 2
        assert "such as 90s, 30m, 12h or 1d" in done.err
