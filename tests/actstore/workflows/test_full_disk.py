"""Storage that is full or may not be written: a clear error, and what was committed stays good; then on it goes."""

import itertools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from actstore import open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import CorpusError, StoreError
from actstore.store.read.open import locate_store
from actstore.store.write.commit import committed_tasks
from actstore.stream.request import StreamRequest
from actstore.testing.fake_model import FakeModel
from actstore.view.reports import ExtractReport
from actstore.workflows import extract as extract_module
from actstore.workflows.care.collect import collect_garbage
from actstore.workflows.care.examine import examine
from actstore.workflows.care.repair import repair_with
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction import plan as plan_module
from actstore.workflows.live.open import open_live
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.live.test_source import live, without
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


class Disk:
    """A small file system in memory."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def remount(self, *options: str) -> None:
        subprocess.run(["mount", "-o", ",".join(("remount", *options)), self.place], check=True, capture_output=True)

    def fill(self) -> None:
        """Leave no room at all for more."""
        with (self.place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"only root can make a small disk here: {mounted.stderr.strip()}")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


@pytest.fixture
def recipe(recipe_of: RecipeOf) -> Recipe:
    return recipe_of()


def extract(store: Path, recipe: Recipe | None) -> ExtractReport:
    return extract_with(FakeModel(), LocalObjects(store), recipe)


def failure(store: Path, recipe: Recipe) -> Exception | None:
    try:
        extract(store, recipe)
    except (CorpusError, StoreError) as error:
        return error
    return None


def blocks(store: Path) -> int:
    """Return how many kB a store takes on the small disk."""
    return sum(path.stat().st_blocks for path in store.rglob("*")) // 2


@pytest.fixture
def room_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others fill the disk after the extraction has looked whether there is room."""
    for module in (extract_module, plan_module):
        monkeypatch.setattr(module, "check_room", lambda *_, **__: None)


@pytest.mark.usefixtures("room_when_asked")
def test_an_extraction_stops_wherever_the_disk_is_full_and_goes_on_when_it_is_not(
    disk: Disk, recipe: Recipe, store_of: StoreOf
) -> None:
    store = disk.place / "store"
    extract(store, recipe)
    whole, needed = contents(store), blocks(store)
    assert whole == contents(store_of())
    shutil.rmtree(store)
    stopped: list[int] = []
    for percent in (2, 10, 25, 50, 75, 90, 98):
        disk.remount(f"size={needed * percent // 100}k")
        with pytest.raises(StoreError, match=r"cannot be written: No space left on device$"):
            extract(store, recipe)
        objects = LocalObjects(store)
        stopped.append(len(committed_tasks(objects)))
        assert not (store / ".partial").exists()
        if (store / "recipe.json").exists():
            assert examine(objects, progress=Silent()).faults == ()
    assert stopped == sorted(stopped)
    assert stopped[0] == 0
    assert stopped[-1] > 5
    disk.remount("size=64m")
    assert extract(store, recipe).tasks_before == stopped[-1]
    assert contents(store) == whole


def test_a_disk_without_any_room_left_is_a_sentence_on_the_command_line(
    disk: Disk, store_of: StoreOf, esm2_tiny: Path, small_fasta: Path
) -> None:
    disk.fill()
    done = actstore(
        "extract", "--quiet", f"--model={esm2_tiny}", f"--sequences={small_fasta}", f"--store={disk.place / 'store'}"
    )
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert re.search(r"MB are to be written and 0 B are free there; take another place", done.err)


def test_a_fill_that_does_not_fit_is_refused_before_anything_is_computed(disk: Disk, store_of: StoreOf) -> None:
    tasks = range(locate_store(store_of())[0].frozen.tasks)
    partial = without(store_of(), disk.place / "partial", set(tasks[1:]))
    disk.fill()
    with pytest.raises(StoreError, match=r"partial: .* are to be written and 0 B are free there"):
        live(partial, FakeModel(), "store")
    live(partial, FakeModel(), "compute").close()
    assert committed_tasks(LocalObjects(partial)) == {0}


def test_rows_that_are_only_computed_need_no_room(
    disk: Disk, esm2_tiny: Path, small_fasta: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'model.name = "{esm2_tiny}"\ncorpus.sequences = "{small_fasta}"\nsites = ["resid_post.*"]\n')
    disk.remount("size=2m")
    monkeypatch.setattr(tempfile, "tempdir", str(disk.place))
    with open_live(recipe) as source, source.open_stream(StreamRequest(batch_rows=200)) as stream:
        assert sum(site.width for site in source.manifest.sites) * source.manifest.rows > 2 << 20
        assert len(next(iter(stream)).row_B) == 200
    assert not list(disk.place.iterdir())


def test_a_repair_needs_room_too_and_can_be_repeated(disk: Disk, store_of: StoreOf) -> None:
    store = shutil.copytree(store_of(), disk.place / "store")
    before = contents(store)
    (store / "sites/embed/values/c/2/0").unlink()
    disk.fill()
    [left] = repair_with(lambda frozen: FakeModel(), LocalObjects(store)).left
    assert left.task == 2
    assert "values/c/2/0 cannot be written: No space left on device" in left.problem
    (disk.place / "ballast").unlink()
    assert repair_with(lambda frozen: FakeModel(), LocalObjects(store)).ok
    assert contents(store) == before


def test_a_store_that_may_not_be_written_is_read_as_ever_and_not_extended(
    disk: Disk, recipe: Recipe, store_of: StoreOf
) -> None:
    store = shutil.copytree(store_of(), disk.place / "store")
    before = contents(store)
    for lost in ("manifest.json", "commits/2.json"):
        (store / lost).unlink()
    (store / ".partial").mkdir()
    (store / ".partial" / f"{os.uname().nodename}-999999999-0badcafe.0123456789abcdef").touch()
    disk.remount("ro")
    for asked in (recipe, None):
        with pytest.raises(StoreError, match="Read-only file system"):
            extract(store, asked)
    with pytest.raises(StoreError, match="Read-only file system"):
        collect_garbage(str(store), delete=True, older_than_s=0)
    assert verify_store(str(store)).ok
    assert collect_garbage(str(store), older_than_s=0).garbage
    with open_stream(store, batch_rows=64, allow_incomplete=True) as stream:
        assert sum(len(batch.row_B) for batch in stream) == stream.rows
    disk.remount("rw")
    assert extract(store, None).tasks_before + 1 == len(committed_tasks(LocalObjects(store)))
    assert contents(store) == before


def test_a_finished_store_that_may_not_be_written_has_nothing_left_to_do(
    disk: Disk, recipe: Recipe, store_of: StoreOf
) -> None:
    store = shutil.copytree(store_of(), disk.place / "store")
    (store / ".partial").mkdir()
    (store / ".partial" / f"{os.uname().nodename}-999999999-0badcafe.0").touch()
    disk.remount("ro")
    for asked in (recipe, None):
        report = extract(store, asked)
        assert report.complete
        assert report.manifest_sha256 == locate_store(store)[0].digest
        assert report.rows_extracted == 0


def test_a_temporary_folder_without_room_is_an_error_that_names_it(
    disk: Disk, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the store is begun it holds the sequences: first their text, then the file that goes into the store."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk.place))
    errors: set[type[Exception]] = set()
    for pages in itertools.count(1):
        disk.remount(f"size={4 * pages}k")
        error = failure(tmp_path / "store", recipe)
        if error is None:
            break
        errors.add(type(error))
        assert re.match(
            rf"{disk.place}/actstore-\S+: cannot hold the sequences .* no space left on device",
            str(error),
            re.IGNORECASE,
        )
        assert not (tmp_path / "store" / "recipe.json").exists()
    assert errors == {CorpusError, StoreError}
    shutil.rmtree(tmp_path / "store")
    disk.remount("ro")
    with pytest.raises(StoreError, match=rf"^{disk.place}: cannot hold .* Read-only file system; set TMPDIR"):
        extract(tmp_path / "store", recipe)
