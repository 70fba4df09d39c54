"""What `verify` reports and how; that it finds damage of every kind is in `test_examine.py`."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.errors import StoreNotFoundError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.view.care_reports import VerifyReport
from actstore.workflows.care.verify import verify_store
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.damage import KINDS

StoreOf = Callable[..., Path]


def verify(store: Path) -> VerifyReport:
    return verify_store(str(store))


def places(report: VerifyReport) -> set[tuple[str, int | None]]:
    return {(fault.object, fault.task) for fault in report.faults}


def problem_of(report: VerifyReport, path: str) -> str:
    return next(fault.problem for fault in report.faults if fault.object == path)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(canonical_json(document))


def test_a_sound_store_has_no_faults(store_of: StoreOf) -> None:
    for changes in ({}, {"store.encoding": "float16"}, {"store.compressor": "zstd"}):
        report = verify(store_of(**changes))
        assert (report.ok, report.faults) == (True, ())
        assert report.tasks_done == report.tasks_total
        assert report.bytes > 100_000
        assert report.objects > 15 * report.tasks_total


@pytest.mark.parametrize(("path", "task"), KINDS.items())
class TestEveryObject:
    def test_a_folder_in_its_place(self, path: str, task: int | None, own_store: StoreOf) -> None:
        store = own_store()
        (store / path).unlink()
        (store / path).mkdir()
        assert places(verify(store)) == {(path, task)}


class TestCommits:
    def edit(self, store: Path, change: Callable[[Any], None]) -> VerifyReport:
        edit_json(store / "commits/1.json", change)
        return verify(store)

    def rewrite(self, commit: dict[str, Any]) -> None:
        commit["objects"]["rows/token/c/1"]["sha256"] = "0" * 64

    def lose(self, commit: dict[str, Any]) -> None:
        del commit["objects"]["sites/embed/values/c/1/0"]

    def add(self, commit: dict[str, Any]) -> None:
        commit["objects"]["sites/embed/values/c/77/0"] = commit["objects"]["rows/token/c/1"]

    def shrink(self, commit: dict[str, Any]) -> None:
        commit["rows"] -= 1

    def disown(self, commit: dict[str, Any]) -> None:
        commit["recipe_sha256"] = "1" * 64

    @pytest.mark.parametrize("change", ["rewrite", "lose", "add", "shrink", "disown"])
    def test_an_altered_one_is_found_by_the_manifest(self, change: str, own_store: StoreOf) -> None:
        report = self.edit(own_store(), getattr(self, change))
        assert places(report) == {("commits/1.json", 1)}
        assert "the manifest says" in report.faults[0].problem

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ("lose", "does not name sites/embed/values/c/1/0"),
            ("add", "names sites/embed/values/c/77/0, which no array of this task has"),
            ("shrink", "says 1023 rows of 'train', the recipe gives 1024"),
            ("disown", "was made under another recipe"),
        ],
    )
    def test_and_without_a_manifest_by_the_recipe(self, change: str, problem: str, own_store: StoreOf) -> None:
        store = own_store()
        for lost in ("manifest.json", "commits/0.json"):
            (store / lost).unlink()
        report = self.edit(store, getattr(self, change))
        assert places(report) == {("commits/1.json", 1)}
        assert problem in report.faults[0].problem

    def test_one_of_a_task_that_does_not_exist(self, own_store: StoreOf) -> None:
        store = own_store()
        shutil.copy(store / "commits/1.json", store / "commits/99.json")
        assert places(verify(store)) == {("commits/99.json", 99)}

    def test_one_under_the_name_of_another_task(self, own_store: StoreOf) -> None:
        store = own_store()
        shutil.copy(store / "commits/1.json", store / "commits/2.json")
        assert places(verify(store)) == {("commits/2.json", 2)}


class TestTheManifest:
    @pytest.mark.parametrize("content", [b"", b"{}", b"[1", b'{"format":"actstore/2"}', b"\x00" * 100])
    def test_one_that_does_not_parse(self, content: bytes, own_store: StoreOf) -> None:
        store = own_store()
        (store / "manifest.json").write_bytes(content)
        report = verify(store)
        assert places(report) == {("manifest.json", None)}
        assert report.tasks_done == report.tasks_total

    def test_a_missing_one_though_everything_is_committed(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "manifest.json").unlink()
        report = verify(store)
        assert places(report) == {("manifest.json", None)}
        assert "'actstore repair URI' writes it" in report.faults[0].problem


class TestTheRecipe:
    @pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"{")])
    def test_without_it_and_a_manifest_nothing_else_can_be_checked(
        self, spoil: Callable[[Path], object], own_store: StoreOf
    ) -> None:
        store = own_store()
        (store / "manifest.json").unlink()
        spoil(store / "recipe.json")
        assert places(verify(store)) == {("recipe.json", None)}


class TestAnUnfinishedStore:
    def test_is_sound_as_far_as_it_goes(self, own_store: StoreOf) -> None:
        store = own_store()
        for lost in ("manifest.json", "commits/3.json"):
            (store / lost).unlink()
        report = verify(store)
        assert report.ok
        assert report.tasks_done == report.tasks_total - 1

    def test_damage_in_it_is_found(self, own_store: StoreOf) -> None:
        store = own_store()
        for lost in ("manifest.json", "commits/3.json", "rows/token/c/4"):
            (store / lost).unlink()
        assert places(verify(store)) == {("rows/token/c/4", 4)}

    def test_without_any_commit_there_is_nothing_to_recompute(self, own_store: StoreOf) -> None:
        store = own_store()
        shutil.rmtree(store / "commits")
        (store / "manifest.json").unlink()
        report = verify(store)
        assert (report.ok, report.not_recomputed) == (True, "no task is committed yet")


def test_a_place_without_a_store_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "nowhere", tmp_path, tmp_path / "file"):
        with pytest.raises(StoreNotFoundError):
            verify(place)


class TestRecomputation:
    """Whether it happens; what it finds is in `test_recompute.py`."""

    def test_says_so_where_the_model_is_not_at_hand(self, store_of: StoreOf) -> None:
        report = verify(store_of())
        assert report.recomputed_rows == 0
        assert "with the model in the folder fake, which is not there" in (report.not_recomputed or "")
        assert verify_store(str(store_of()), recompute=False).not_recomputed == "not asked for"

    def test_of_a_damaged_store_is_left_out(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "zarr.json").unlink()
        assert verify(store).not_recomputed == "the store is damaged"


class TestTheCommand:
    def test_a_sound_store_leaves_with_0(self, store_of: StoreOf) -> None:
        done = actstore("verify", store_of(), "--json")
        assert done.code == 0
        assert (done.document["ok"], done.document["faults"]) == (True, [])
        assert "sound" in actstore("verify", store_of(), "--quiet").out

    def test_damage_leaves_with_1_and_the_list(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "rows/token/c/2").unlink()
        done = actstore("verify", store, "--json")
        assert done.code == 1
        assert done.document["ok"] is False
        assert done.document["faults"] == [{"object": "rows/token/c/2", "task": 2, "problem": "missing"}]
        shown = actstore("verify", store)
        assert shown.code == 1
        assert "rows/token/c/2" in shown.out
        assert f"actstore repair {store}" in "".join(shown.out.split("\n"))

    def test_what_is_not_part_of_the_store_is_listed_and_no_fault(self, own_store: StoreOf) -> None:
        store = own_store()
        (store / "rows" / "notes.txt").write_text("mine")
        done = actstore("verify", store, "--json")
        assert done.code == 0
        assert done.document["unnamed"] == [
            {"object": "rows/notes.txt", "bytes": 4, "reason": "nothing in a store has this name"}
        ]
        assert "1 object, 4 B" in actstore("verify", store, "--quiet").out

    def test_no_store_leaves_with_1_and_one_line(self, tmp_path: Path) -> None:
        done = actstore("verify", tmp_path / "nowhere", "--json")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert "Traceback" not in done.err


def test_a_commit_names_the_digest_of_what_is_stored(store_of: StoreOf) -> None:
    """What `verify` relies on, seen from outside."""
    store = store_of()
    for path in sorted(store.glob("commits/*.json")):
        for name, stored in json.loads(path.read_bytes())["objects"].items():
            data = (store / name).read_bytes()
            assert (len(data), sha256_hex(data)) == (stored["size"], stored["sha256"])
