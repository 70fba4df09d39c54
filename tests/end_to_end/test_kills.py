"""Extractors are killed with SIGKILL at random moments: nothing that was acknowledged is ever lost or changed.

Twenty-four kills, or as many as the environment variable ACTSTORE_KILLS says; with Dask workers six, or
ACTSTORE_WORKER_KILLS. `--log-cli-level=INFO` shows the figures.
"""

import logging
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.store.format.layout import MANIFEST
from actstore.store.write.commit import committed_tasks, load_commit
from actstore.testing.proteins import FamilyShape, synthetic_proteins, write_fasta
from actstore.workflows.care.examine import examine
from tests.actstore.workflows.stores import contents
from tests.end_to_end.extractor import acknowledged, kill, start, start_with_workers

KILLS = int(os.environ.get("ACTSTORE_KILLS", "24"))
KILLS_OF_A_STORE = 3
KILLS_WITH_WORKERS = int(os.environ.get("ACTSTORE_WORKER_KILLS", "6"))
MOST_MISSES = 3
"""For each kill, processes that were done before it came."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 10 * KILLS)]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory, where there is one: how fast a disk flushes is not what is tested here."""
    memory = Path("/dev/shm")  # noqa: S108 - the name of the file system, not of a file
    place = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place, prefix="actstore-kills-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Some fifteen tasks in two splits, with calibration."""
    path = tmp_path_factory.mktemp("kills") / "proteins.fasta"
    shape = FamilyShape(median_residues=120, min_residues=60, max_residues=250)
    write_fasta(path, synthetic_proteins(families=12, members=3, seed=3, shape=shape))
    return Recipe.model_validate(
        {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(path)]},
            "splits": {"fractions": {"train": 0.8, "valid": 0.2}},
            "store": {"task_rows": 320, "chunk_rows": 64, "calibration_sequences": 4},
        }
    )


class Whole:
    """What an extractor makes that nobody disturbs, and how long it takes."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        start(recipe, folder / "warm", folder / "log").join()
        began = time.monotonic()
        process = start(recipe, folder / "whole", folder / "log")
        process.join()
        self.seconds = time.monotonic() - began
        assert process.exitcode == 0
        self.contents = contents(folder / "whole")
        self.tasks = len(committed_tasks(LocalObjects(folder / "whole")))


def check(store: Path, log: Path, before: dict[str, bytes]) -> dict[str, bytes]:
    """Compare a store whose extractor was killed with what was acknowledged; return all that is committed now."""
    objects = LocalObjects(store)
    tasks = committed_tasks(objects)
    assert acknowledged(log) <= {f"commits/{task}.json" for task in tasks}, "an acknowledged task is lost"
    if not (store / "recipe.json").exists():
        assert not tasks
        return {}
    faults = examine(objects, progress=Silent()).faults
    if not (store / MANIFEST).exists():  # killed after the last commit, or long before
        faults = tuple(fault for fault in faults if fault.object != MANIFEST)
    assert faults == ()
    paths = [path for task in tasks for path in (f"commits/{task}.json", *load_commit(objects, task).objects)]
    now = {path: objects.get(path) for path in paths}
    assert before.items() <= now.items(), "a committed task was changed"
    return now


@pytest.mark.parametrize("extractors", [1, 2])
def test_no_acknowledged_task_is_lost_and_the_end_is_the_same(extractors: int, recipe: Recipe, folder: Path) -> None:
    """With two extractors on one store, one of them is killed and the other goes on."""
    whole = Whole(recipe, folder)
    assert whole.tasks > 10
    moments = random.Random(extractors)
    wanted = KILLS if extractors == 1 else -(-KILLS // 4)
    kills = stores = starts = lost = kept = 0
    while kills < wanted:
        store, log = folder / f"store-{stores}", folder / f"log-{stores}"
        done: dict[str, bytes] = {}
        for _ in range(KILLS_OF_A_STORE):
            processes = [start(recipe, store, log) for _ in range(extractors)]
            starts += 1
            time.sleep(moments.uniform(0.0, whole.seconds))
            kills += kill(processes.pop())
            for process in processes:
                process.join()
                assert process.exitcode == 0
            done = check(store, log, done)
            kept += len(acknowledged(log))
        last = start(recipe, store, log)
        last.join()
        assert last.exitcode == 0
        lost += len(done.items() - contents(store).items())
        assert contents(store) == whole.contents
        assert not (store / ".partial").exists()
        stores += 1
        assert starts <= MOST_MISSES * (wanted + KILLS_OF_A_STORE), "most processes are done before they are killed"
    assert lost == 0
    logging.getLogger(__name__).info(
        "%d extractors: %d kills in %d stores of %d tasks, %d acknowledgements found, %d lost",
        extractors, kills, stores, whole.tasks, kept, lost,
    )  # fmt: skip


def workers_of(pid: int | None) -> list[int]:
    """Return the worker processes of an extractor; they are gone when it is."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            with suppress(OSError):
                if b"multiprocessing.spawn" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(int(child))
    return found


def committed_objects(store: Path) -> dict[str, bytes]:
    """Return the commits of a store and all that they name."""
    objects = LocalObjects(store)
    paths = [
        path
        for task in committed_tasks(objects)
        for path in (f"commits/{task}.json", *load_commit(objects, task).objects)
    ]
    return {path: objects.get(path) for path in paths}


@pytest.mark.timeout(120 + 90 * KILLS_WITH_WORKERS)
def test_with_dask_workers_the_command_or_its_workers_are_killed(recipe: Recipe, folder: Path) -> None:
    """In turn: the command, whose workers end with it, and then workers of the next command, which starts others."""
    temporary = folder / "temporary"
    temporary.mkdir()
    whole, moments = Whole(recipe, folder), random.Random(3)
    for number in range(KILLS_WITH_WORKERS // 2):
        store = folder / f"store-{number}"
        command = start_with_workers(recipe, store, temporary)
        while not workers_of(command.pid):
            assert command.is_alive()
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 4.0))
        workers = workers_of(command.pid)
        kill(command)
        before = committed_objects(store)
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            time.sleep(0.01)

        command = start_with_workers(recipe, store, temporary)
        tasks = committed_tasks(LocalObjects(store))
        while command.is_alive() and committed_tasks(LocalObjects(store)) == tasks:
            time.sleep(0.005)
        for worker in workers_of(command.pid)[: moments.choice([1, 2])]:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        command.join()
        assert command.exitcode == 0
        assert before.items() <= committed_objects(store).items()
        assert contents(store) == whole.contents
        assert not (store / ".partial").exists()
        assert not list(temporary.glob("actstore-*")), "what the killed command left is swept by the next"
