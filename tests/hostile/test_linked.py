"""Whatever links somebody puts into a store, no command writes, replaces or removes anything behind them."""

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.errors import ActstoreError, StoreError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.collect import collect_garbage
from actstore.workflows.care.repair import repair_with
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from tests.actstore.cli.command import actstore
from tests.hostile.linked import COMMANDS, LINKS, READERS, BrokenLink, MovedAway, Victim, make_old, outside

StoreOf = Callable[..., Path]


@pytest.fixture
def store(store_of: StoreOf, tmp_path: Path) -> Path:
    """A store of few objects."""
    return shutil.copytree(store_of(**{"store.task_rows": 4096, "store.encoding": "float16"}), tmp_path / "own")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("link", LINKS)
def test_nothing_outside_is_touched(link: str, command: str, store: Path, elsewhere: Path) -> None:
    COMMANDS[command].prepare(store)
    LINKS[link](store, elsewhere)
    make_old(elsewhere)
    before = outside(elsewhere)
    with suppress(ActstoreError):
        COMMANDS[command].run(store)
    assert outside(elsewhere) == before


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("path", [link.path for link in LINKS.values() if isinstance(link, MovedAway)])
def test_a_part_that_was_moved_to_another_disk_is_read(path: str, command: str, store: Path, elsewhere: Path) -> None:
    MovedAway(path)(store, elsewhere)
    assert getattr(READERS[command].run(store), "ok", True)


def test_a_store_that_is_reached_through_a_link_is_a_store(store: Path, elsewhere: Path) -> None:
    target = elsewhere / "store"
    shutil.move(store, target)
    store.symlink_to(target)
    for name in ("repair", "extract", "gc --delete"):
        COMMANDS[name].prepare(target)
        COMMANDS[name].run(store)
    assert extract_with(FakeModel(), LocalObjects(store), None).complete
    assert verify_store(str(store), recompute=False).ok


class TestTheErrorNamesTheLinkAndTheWayOut:
    WANTED = r"{} is a symbolic link, and nothing is written or removed through a link; move the folder that it leads"

    @pytest.mark.parametrize("path", [".partial", "sites/embed/values/c", "rows", "commits"])
    def test_extract(self, path: str, store: Path, elsewhere: Path) -> None:
        COMMANDS["extract"].prepare(store)
        if path == "rows":
            (store / "rows/token/c/1").unlink()
        if path == "sites/embed/values/c":
            (store / "sites/embed/values/c/1/0").unlink()
        if path == ".partial":
            (store / path).mkdir()
        MovedAway(path)(store, elsewhere)
        with pytest.raises(StoreError, match=self.WANTED.format(path)):
            COMMANDS["extract"].run(store)

    @pytest.mark.parametrize("path", ["sites/embed/values", "commits", "rows"])
    def test_repair_lists_what_it_cannot_write_and_repairs_the_rest(
        self, path: str, store: Path, elsewhere: Path
    ) -> None:
        COMMANDS["repair"].prepare(store)
        MovedAway(path)(store, elsewhere)
        report = repair_with(lambda _frozen: FakeModel(), LocalObjects(store))
        assert not report.ok
        assert any(self.WANTED.format(path) in fault.problem for fault in report.left)
        assert "sites/zarr.json" in report.written

    def test_gc(self, store: Path, elsewhere: Path) -> None:
        Victim(".partial")(store, elsewhere)
        done = actstore("gc", store, "--delete", "--older-than", "0")
        assert done.code == 1
        assert ".partial is a symbolic link, and nothing is written or removed through a link" in done.err


class TestALinkInACircleIsAFault:
    @pytest.mark.parametrize("in_circle", [True, False])
    @pytest.mark.parametrize("path", ["commits", "sites/embed/values", "rows/token/c/1", "commits/1.json"])
    def test_that_verify_lists(self, path: str, in_circle: bool, store: Path, elsewhere: Path) -> None:
        BrokenLink(path, in_circle)(store, elsewhere)
        report = verify_store(str(store), recompute=False)
        assert not report.ok
        assert any(fault.object.startswith(path) for fault in report.faults)
        done = actstore("verify", store, "--no-recompute", "--json")
        assert done.code == 1
        assert len(done.document["faults"]) == len(report.faults)

    def test_that_verify_lists_even_without_a_manifest(self, store: Path, elsewhere: Path) -> None:
        (store / "manifest.json").unlink()
        BrokenLink("commits", in_circle=True)(store, elsewhere)
        (fault,) = verify_store(str(store), recompute=False).faults
        assert fault.object == "commits"
        assert "commits is a symbolic link that leads nowhere or in a circle; put back what it leads" in fault.problem

    @pytest.mark.parametrize("path", ["rows/token/c/1", "commits/1.json"])
    def test_that_repair_replaces_where_an_object_was(self, path: str, store: Path, elsewhere: Path) -> None:
        content = (store / path).read_bytes()
        BrokenLink(path, in_circle=True)(store, elsewhere)
        assert repair_with(lambda _frozen: FakeModel(), LocalObjects(store)).ok
        assert not (store / path).is_symlink()
        assert (store / path).read_bytes() == content

    @pytest.mark.parametrize("path", ["commits", "sites/embed/values"])
    def test_that_repair_leaves_where_a_folder_was(self, path: str, store: Path, elsewhere: Path) -> None:
        BrokenLink(path, in_circle=True)(store, elsewhere)
        report = repair_with(lambda _frozen: FakeModel(), LocalObjects(store))
        assert not report.ok
        assert any(f"{path} is a symbolic link" in fault.problem for fault in report.left)
        assert (store / path).is_symlink()

    def test_that_gc_lists_among_foreign_files(self, store: Path) -> None:
        (store / "notes").symlink_to("notes")
        report = collect_garbage(str(store), delete=True, older_than_s=0)
        assert [one.object for one in report.foreign] == ["notes"]
        assert (store / "notes").is_symlink()

    @pytest.mark.parametrize("in_circle", [True, False])
    def test_that_keeps_gc_from_calling_all_tasks_leftovers(
        self, in_circle: bool, store: Path, elsewhere: Path
    ) -> None:
        """The disk with the commits may only be gone for a moment."""
        (store / "manifest.json").unlink()
        BrokenLink("commits", in_circle)(store, elsewhere)
        values = {path: path.read_bytes() for path in (store / "sites").rglob("*") if path.is_file()}
        with pytest.raises(StoreError, match="commits is a symbolic link that leads nowhere or in a circle"):
            collect_garbage(str(store), delete=True, older_than_s=0)
        assert {path: path.read_bytes() for path in values} == values

    def test_that_inspect_names(self, store: Path, elsewhere: Path) -> None:
        BrokenLink("manifest.json", in_circle=True)(store, elsewhere)
        done = actstore("inspect", store)
        assert done.code == 1
        assert "manifest.json is a symbolic link that leads nowhere or in a circle" in done.err


def test_a_link_put_into_the_path_during_a_write_is_not_followed(
    store: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the check of a path and the write, somebody exchanges a folder of it for a link."""
    (elsewhere / "values").mkdir()
    fsync = os.fsync

    def exchange(descriptor: int) -> None:
        fsync(descriptor)
        if not (store / "sites/embed/values").is_symlink():
            shutil.move(store / "sites/embed/values", store / "aside")
            (store / "sites/embed/values").symlink_to(elsewhere / "values")

    monkeypatch.setattr(os, "fsync", exchange)
    with pytest.raises(StoreError, match=r"sites/embed/values is a symbolic link") as caught:
        LocalObjects(store).put("sites/embed/values/zarr.json", b"{}")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ELOOP
    assert list((elsewhere / "values").iterdir()) == []
