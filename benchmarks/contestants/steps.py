"""What is done to a store of any size, each step in a process of its own: seconds, memory, requests.

python -m benchmarks.contestants.steps STEP FOLDER TASKS
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from actstore.access.open import open_objects
from actstore.extract.task import ModelRows
from actstore.store.format.layout import MANIFEST
from actstore.store.plan.tasks import plan_tasks, sequence_order
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.open import open_manifest
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.stream.open import open_stream
from actstore.view.reports import report_manifest
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.plan import reopen
from actstore.workflows.extraction.runner import TaskRunner
from benchmarks.contestants.worker import memory
from benchmarks.data.made_up_filesystem import PROTOCOL, MadeUpFileSystem
from benchmarks.data.made_up_store import RESIDUES, make_store, model, recipe_of, table_of

__all__ = ["STEPS", "Meter", "main"]

URI: Final = f"{PROTOCOL}://store"
COMMITS: Final = 24
"""Tasks that are extracted, encoded and committed to get the cost of one."""
STREAM_BUFFER_BYTES: Final = 16 << 20
BATCH_ROWS: Final = 4096
BATCHES: Final = 200


class Meter:
    """What the measured part of a step costs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.results: dict[str, dict[str, float]] = {}

    def options(self, done: int, *, latency_s: float = 0.0) -> dict[str, Any]:
        """Return the storage options of the store with so many tasks committed."""
        return {"folder": str(self._folder), "done": done, "latency_s": latency_s}

    @contextmanager
    def measure(self, name: str, options: dict[str, Any] | None = None, *, each: int = 1) -> Iterator[None]:
        """Take seconds, most memory beyond that before, and requests of what is done inside."""
        before_requests = _requests(options)
        _forget_peak()
        before_bytes = memory("VmRSS")
        began_s = time.perf_counter()
        yield
        seconds = time.perf_counter() - began_s
        self.results[name] = {
            "seconds": seconds / each,
            "peak_mb": (memory("VmHWM") - before_bytes) / 1e6,
            "requests": (_requests(options) - before_requests) / each,
        }


def _requests(options: dict[str, Any] | None) -> int:
    return 0 if options is None else MadeUpFileSystem(**options).requests  # fsspec keeps one of each


def _forget_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _plan(meter: Meter, tasks: int) -> None:
    """Lay out all rows; work out one task."""
    recipe = recipe_of()
    table = table_of(tasks * recipe.store.task_rows // RESIDUES)
    with meter.measure("plan"):
        order_N = sequence_order(table, seed=recipe.seed)
        ordered = table.take(order_N)
        plan = plan_tasks(ordered, recipe.row_rules)
        plan.digest()
    with meter.measure("plan_task", each=1000):
        for index in range(1000):
            plan.task(index * 7919 % tasks)


def _resume(meter: Meter, tasks: int) -> None:
    """Open a store that is half done, and find what is missing."""
    options = meter.options(tasks // 2)
    objects = open_objects(URI, options)
    with meter.measure("resume", options):
        extract_with(model(), objects, None, stop=Stop(after_s=0.0))


def _commit(meter: Meter, tasks: int) -> None:
    """Extract, encode, write and commit one task after the other."""
    options = meter.options(tasks - COMMITS)
    objects = open_objects(URI, options)
    prepared = reopen(objects, load_frozen(objects), model())
    with StoredSequences(objects) as source, ExitStack() as stack:
        rows = ModelRows(source, model(), prepared.frozen.tokens_per_batch)
        runner = stack.enter_context(TaskRunner(prepared, rows, objects))

        def do(task: int) -> None:
            runner.begin()
            runner.do(task)

        do(tasks - COMMITS)
        with meter.measure("commit", options, each=COMMITS - 1):
            for task in range(tasks - COMMITS + 1, tasks):
                do(task)


def _assemble(meter: Meter, tasks: int) -> None:
    """Write the manifest from the commits and statistics of all tasks."""
    options = meter.options(tasks)
    objects = open_objects(URI, options)
    with meter.measure("assemble", options):
        write_manifest(objects)
    (Path(options["folder"]) / "objects" / MANIFEST).write_bytes(objects.get(MANIFEST))


def _assemble_far(meter: Meter, tasks: int) -> None:
    """Write the manifest of a store where every request takes 20 ms."""
    options = meter.options(tasks, latency_s=0.02)
    objects = open_objects(URI, options)
    with meter.measure("assemble_far", options):
        write_manifest(objects)


def _inspect(meter: Meter, tasks: int) -> None:
    """Open the manifest and describe the store."""
    options = meter.options(tasks)
    with meter.measure("open", options):
        manifest = open_manifest(URI, storage_options=options)
    with meter.measure("inspect", options):
        report = report_manifest(manifest)
    if report.tasks_done != tasks:
        raise AssertionError(f"{report.tasks_done} tasks")


def _stream(meter: Meter, tasks: int) -> None:
    """Open a stream and take a batch."""
    options = meter.options(tasks)
    with meter.measure("stream_open", options):
        stream = open_stream(
            URI, batch_rows=BATCH_ROWS, buffer_bytes=STREAM_BUFFER_BYTES, kernels="numpy", storage_options=options
        )
    with stream:
        with meter.measure("first_batch", options):
            batches = iter(stream)
            next(batches)
        more = min(BATCHES, stream.batches_per_epoch - 1)
        with meter.measure("next_batches", options, each=more):
            for _ in range(more):
                next(batches)


STEPS: Final[dict[str, Callable[[Meter, int], None]]] = {
    "plan": _plan,
    "resume": _resume,
    "commit": _commit,
    "assemble": _assemble,
    "assemble_far": _assemble_far,
    "inspect": _inspect,
    "stream": _stream,
}
"""In the order in which they must come: the last two need the manifest."""


def main() -> None:
    """Do one step and print what it cost, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("make", *STEPS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("tasks", type=int)
    options = parser.parse_args()
    meter = Meter(options.folder)
    if options.step == "make":
        make_store(options.folder, tasks=options.tasks)
    else:
        STEPS[options.step](meter, options.tasks)
    print(json.dumps(meter.results))


if __name__ == "__main__":
    main()
