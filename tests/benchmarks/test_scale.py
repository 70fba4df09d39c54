"""Stores that are made up cost what real ones do, and opening one costs the same however large it is."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.contracts.windows import RowWindow
from actstore.store.format.layout import MANIFEST
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import open_manifest
from actstore.store.read.reader import ArrayReader
from actstore.stream.open import open_stream
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.deadline import Stop
from benchmarks.contestants.steps import COMMITS, STEPS, URI, Meter
from benchmarks.data.made_up_filesystem import MadeUpFileSystem
from benchmarks.data.made_up_store import make_store, model
from benchmarks.scale import COSTS, flatness, summary, table

SIZES = (50, 500)
TASK_ROWS = 512
FolderOf = Callable[[int], Path]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> FolderOf:
    """Return the folder of a store of so many tasks, with its manifest."""
    root = tmp_path_factory.mktemp("scale")
    for size in SIZES:
        make_store(root / str(size), tasks=size, task_rows=TASK_ROWS)
        objects = open_objects(URI, options_of(root / str(size), size))
        write_manifest(objects)
        (root / str(size) / "objects" / MANIFEST).write_bytes(objects.get(MANIFEST))
    return lambda size: root / str(size)


@pytest.fixture(autouse=True)
def _nothing_written() -> None:
    """Forget what other tests have written: fsspec keeps filesystems, and these keep it in memory."""
    MadeUpFileSystem.clear_instance_cache()


def options_of(folder: Path, done: int) -> dict[str, Any]:
    return {"folder": str(folder), "done": done, "latency_s": 0.0}


def requests(options: dict[str, Any], act: Callable[[], object]) -> int:
    """Count the requests of an act."""
    filesystem = MadeUpFileSystem(**options)
    before: int = filesystem.requests
    act()
    after: int = filesystem.requests
    return after - before


def opened(folder: Path, size: int) -> tuple[Manifest, ObjectStore]:
    options = options_of(folder, size)
    return open_manifest(URI, storage_options=options), open_objects(URI, options)


def test_rows_of_every_task_can_be_read_and_are_checked(folder_of: FolderOf) -> None:
    manifest, objects = opened(folder_of(50), 50)
    reader = ArrayReader(objects, manifest)
    first, last = (reader.rows("sites/embed/values", RowWindow(task, 0, TASK_ROWS)) for task in (0, 49))
    assert (first == last).all()
    assert manifest.tasks_done == 50
    assert manifest.statistics["embed"].count == 50 * TASK_ROWS


@pytest.mark.parametrize("most", [3])
def test_opening_takes_as_many_requests_however_large_the_store(folder_of: FolderOf, most: int) -> None:
    def open_both(size: int) -> int:
        options = options_of(folder_of(size), size)

        def act() -> None:
            open_manifest(URI, storage_options=options)
            open_stream(URI, batch_rows=64, buffer_bytes=1 << 17, kernels="numpy", storage_options=options).close()

        return requests(options, act)

    small, large = map(open_both, SIZES)
    assert small == large <= most


def test_a_store_is_continued_after_one_listing_before_and_one_after(folder_of: FolderOf) -> None:
    def resume(size: int) -> int:
        options = options_of(folder_of(size), size // 2)
        objects = open_objects(URI, options)

        def act() -> None:
            report = extract_with(model(), objects, None, stop=Stop(after_s=0.0))
            assert report.tasks_before == report.tasks_left == size // 2

        return requests(options, act)

    small, large = map(resume, SIZES)
    assert small == large


def test_the_manifest_takes_each_commit_and_each_statistic_once(folder_of: FolderOf) -> None:
    def assemble(size: int) -> int:
        options = options_of(folder_of(size), size)
        objects = open_objects(URI, options)
        return requests(options, lambda: write_manifest(objects))

    small, large = map(assemble, SIZES)
    assert large - small == (SIZES[1] - SIZES[0]) * (1 + 7)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_every_step_says_what_it_costs(folder_of: FolderOf) -> None:
    costs = {}
    for size in SIZES:
        meter = Meter(folder_of(size))
        for step in STEPS.values():
            if step is not STEPS["assemble_far"]:
                step(meter, size)
        costs[size] = meter.results
    assert {cost.name for cost in COSTS} == costs[50].keys()
    assert costs[50]["commit"]["requests"] == costs[500]["commit"]["requests"] > 10
    assert flatness(costs).keys() == costs[50].keys()
    assert table(costs).count("\n") == len(COSTS) + 1
    assert summary(costs)["open_and_inspect"]["requests"] == 1
    assert min(SIZES) > COMMITS


def test_flat_is_the_same_cost_for_a_step_and_a_share_of_it_for_each_task() -> None:
    def costs(seconds: float) -> dict[str, dict[str, float]]:
        return {cost.name: {"seconds": seconds} for cost in COSTS}

    found = flatness({10: costs(1.0), 1000: costs(2.0)})
    assert (found["commit"], found["assemble"]) == (2.0, 0.02)
