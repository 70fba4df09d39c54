"""The command line is killed with SIGKILL at the worst moments; what it leaves is continued, never done again."""

import gzip
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.killing import Kill, extract_in_a_process
from tests.actstore.workflows.stores import contents, read_fasta, write_fasta

Arguments = Callable[..., list[str]]
RecipeOf = Callable[..., Recipe]


@pytest.fixture(scope="module")
def arguments(esm2_tiny: Path, few_fasta: Path) -> Arguments:
    """Return the command line of a small extraction of some ten tasks."""

    def of(store: Path, *options: str, sequences: Path = few_fasta, model: Path = esm2_tiny) -> list[str]:
        return [
            f"--model={model}",
            f"--sequences={sequences}",
            "--site=embed,resid_post.2,final_norm",
            f"--store={store}",
            "--set=store.task_rows=256",
            "--set=store.chunk_rows=64",
            "--set=store.calibration_sequences=2",
            *options,
        ]

    return of


@pytest.fixture(scope="module")
def uninterrupted(arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a store that one process made from beginning to end."""
    stores: dict[str, Path] = {}

    def of(encoding: str) -> Path:
        if encoding not in stores:
            folder = tmp_path_factory.mktemp("whole")
            asked = arguments(folder / "store", f"--encoding={encoding}")
            assert extract_in_a_process(*asked, log=folder / "log") == 0, (folder / "log").read_text()
            stores[encoding] = folder / "store"
        return stores[encoding]

    return of


def committed(store: Path) -> dict[Path, tuple[int, int]]:
    """Return inode and time of every object of the tasks that have a commit."""
    tasks = {path.stem for path in store.glob("commits/*.json")}
    objects = (path for path in store.rglob("*/c/*") if path.relative_to(store).parts[-1].isdigit())
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in objects
        if path.relative_to(store).as_posix().partition("/c/")[2].split("/")[0] in tasks
    }


def kill_and_resume(asked: list[str], store: Path, kills: list[Kill]) -> None:
    """Die at one moment after the other, then finish; nothing that is committed is touched again."""
    log = store.parent / "log"
    done: Mapping[Path, tuple[int, int]] = {}
    for kill in kills:
        assert extract_in_a_process(*asked, log=log, kill=kill) == -signal.SIGKILL, (kill, log.read_text())
        # What was being written lies apart from the objects, and goes when the next run begins.
        assert len(list(store.glob(".partial/*"))) == 1 or kill.moment == "after", kill
        now = committed(store)
        assert done.items() <= now.items(), kill
        done = now
    assert extract_in_a_process(*asked, log=log) == 0, log.read_text()
    assert done.items() <= committed(store).items()


MOMENTS = [
    Kill("before", "recipe.json"),
    Kill("after", "recipe.json"),
    Kill("before", "sequences.parquet"),
    Kill("after", "sequences.parquet"),
    Kill("after", "sites/embed/zarr.json"),
    Kill("before", "store/zarr.json"),
    Kill("before", "rows/position/c/0"),
    Kill("after", "sites/resid_post.2/values/c/0/0"),
    Kill("before", "rows/sequence/c/0"),
    Kill("before", "commits/0.json"),
    Kill("after", "commits/1.json"),
    Kill("before", "statistics/noise/c/2/0/0"),
    Kill("after", "commits/4.json"),
    Kill("before", "manifest.json"),
]


@pytest.mark.slow
def test_an_int8_store_killed_at_every_kind_of_moment_is_byte_for_byte_the_uninterrupted_one(
    arguments: Arguments, uninterrupted: Callable[[str], Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    kill_and_resume(arguments(store, "--encoding=int8"), store, MOMENTS)
    assert contents(store) == contents(uninterrupted("int8"))


def test_a_float16_store_killed_while_writing_and_after_a_commit_too(
    arguments: Arguments, uninterrupted: Callable[[str], Path], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    kills = [Kill("after", "recipe.json"), Kill("before", "values/c/1/0"), Kill("after", "commits/3.json")]
    kill_and_resume(arguments(store, "--encoding=float16"), store, kills)
    assert contents(store) == contents(uninterrupted("float16"))
    assert not (store / ".partial").exists()


class _Killed(BaseException):
    """Not an error that anything could catch and go on."""


class _Publishing(LocalObjects):
    """Stops for good as soon as one object more than before is in place."""

    stopped = False

    def put_new(self, path: str, data: bytes) -> bool:
        with self._stopping(path):
            return super().put_new(path, data)

    def put(self, path: str, data: bytes) -> None:
        with self._stopping(path):
            super().put(path, data)

    def put_file(self, path: str, local: Path) -> None:
        with self._stopping(path):
            super().put_file(path, local)

    @contextmanager
    def _stopping(self, path: str) -> Iterator[None]:
        new = not self.local_path(path).exists()
        if self.stopped:  # the task behind
            raise _Killed
        yield
        if new:
            self.stopped = True
            raise _Killed


@pytest.mark.slow
def test_a_run_that_stops_after_every_single_object_comes_to_the_same_end(recipe_of: RecipeOf, tmp_path: Path) -> None:
    model = FakeModel(sites=["embed"], width=4)
    recipe = recipe_of(**{"rows.fraction": 0.1, "store.task_rows": 256})
    extract_with(model, LocalObjects(tmp_path / "whole"), recipe)
    runs = 0
    while True:
        runs += 1
        try:
            extract_with(model, _Publishing(tmp_path / "store"), recipe)
        except _Killed:
            continue
        break
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")
    # Of two threads that are stopped, each may have been about to write.
    objects = len(contents(tmp_path / "whole"))
    assert objects // 2 < runs <= objects + 1


class TestTheCommandAgain:
    """A store of which some tasks are missing, and what the command line says to those who come back to it."""

    @pytest.fixture
    def unfinished(self, uninterrupted: Callable[[str], Path], tmp_path: Path) -> Path:
        store = shutil.copytree(uninterrupted("float16"), tmp_path / "store")
        for lost in ("manifest.json", "commits/2.json", "commits/4.json"):
            (store / lost).unlink()
        return store

    def test_continues_without_being_told_the_recipe(
        self, unfinished: Path, uninterrupted: Callable[[str], Path]
    ) -> None:
        done = actstore("extract", "--store", unfinished, "--json")
        assert done.code == 0
        assert done.document["tasks_total"] - done.document["tasks_before"] == 2
        assert contents(unfinished) == contents(uninterrupted("float16"))

    def test_continues_with_the_same_sequences_at_another_place(
        self,
        unfinished: Path,
        arguments: Arguments,
        few_fasta: Path,
        uninterrupted: Callable[[str], Path],
        tmp_path: Path,
    ) -> None:
        moved = tmp_path / "moved.fasta.gz"
        moved.write_bytes(gzip.compress(few_fasta.read_bytes()))
        done = actstore("extract", *arguments(unfinished, "--encoding=float16", sequences=moved))
        assert done.code == 0, done.err
        assert contents(unfinished) == contents(uninterrupted("float16"))

    def test_writes_lost_sequences_again_if_told_the_recipe(
        self, unfinished: Path, arguments: Arguments, uninterrupted: Callable[[str], Path]
    ) -> None:
        (unfinished / "sequences.parquet").unlink()
        refused = actstore("extract", "--store", unfinished)
        assert (refused.code, refused.out) == (1, "")
        assert "sequences.parquet is missing; write it again with 'actstore extract RECIPE --store URI'" in refused.err
        done = actstore("extract", *arguments(unfinished, "--encoding=float16"))
        assert done.code == 0, done.err
        assert contents(unfinished) == contents(uninterrupted("float16"))

    @pytest.mark.parametrize(
        ("options", "differences"),
        [
            (["--encoding=int8"], ["recipe.store.encoding: the store has 'float16', this recipe gives 'int8'"]),
            (
                ["--encoding=float16", "--seed=5", "--fraction=0.5"],
                ["recipe.seed: the store has 0", "recipe.rows.fraction: the store has 1.0"],
            ),
            (["--encoding=float16", "--site=resid_post.3"], ["recipe.sites", "sites: the store has"]),
        ],
    )
    def test_with_another_recipe_is_refused_with_each_difference_and_nothing_is_written(
        self, options: list[str], differences: list[str], unfinished: Path, arguments: Arguments
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in unfinished.rglob("*")}
        refused = actstore("extract", *arguments(unfinished, *options))
        assert (refused.code, refused.out) == (1, "")
        assert all(difference in refused.err for difference in differences), refused.err
        assert "'actstore extract --store URI' alone continues it" in refused.err
        assert {path: path.stat().st_mtime_ns for path in unfinished.rglob("*")} == before

    def test_with_other_sequences_is_refused(
        self, unfinished: Path, arguments: Arguments, few_fasta: Path, tmp_path: Path
    ) -> None:
        records = read_fasta(few_fasta)
        name, residues = next(iter(records.items()))
        changed = write_fasta(tmp_path / "changed.fasta", {**records, name: "A" + residues[1:]})
        before = contents(unfinished)
        refused = actstore("extract", *arguments(unfinished, "--encoding=float16", sequences=changed))
        assert refused.code == 1
        assert "corpus.digest: the store has" in refused.err
        assert contents(unfinished) == before

    def test_with_other_weights_under_the_same_recipe_is_refused(
        self, unfinished: Path, arguments: Arguments, esm2_tiny: Path, tmp_path: Path
    ) -> None:
        model = shutil.copytree(esm2_tiny, tmp_path / "model")
        tensors = load_file(model / "model.safetensors")
        tensors["esm.encoder.layer.5.output.dense.bias"][0] += 1.0
        save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
        before = contents(unfinished)
        refused = actstore("extract", *arguments(unfinished, "--encoding=float16", model=model))
        assert refused.code == 1
        assert "model.weights_sha256: the store has" in refused.err
        assert contents(unfinished) == before
        assert verify_store(str(unfinished), recompute=False).ok
