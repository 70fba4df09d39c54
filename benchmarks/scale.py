"""What costs more as stores grow, and what a second worker brings.

Stores of 1,000, 10,000 and 100,000 tasks (512 M rows of 1 M proteins) that a filesystem makes up when asked: one task
is extracted with a fake model, and every other has its objects. Each step runs in a process of its own and says what it
took beyond what the process had: seconds, memory, requests. Then the tiny model over natural proteins, with one worker
and with two.

    python -m benchmarks.scale proteins.fasta.gz
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.contestants.workers import compare_workers
from benchmarks.data.made_up_store import TASK_ROWS
from benchmarks.pages import markdown
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["COSTS", "Cost", "flatness", "main", "measure_sizes", "table"]

SIZES: Final = (1_000, 10_000, 100_000)
FAR_TASKS: Final = 200
"""Tasks of the store that is assembled over requests of 20 ms."""
STEPS: Final = ("plan", "resume", "commit", "assemble", "inspect", "stream")
ROUNDS: Final = 3
"""The fastest counts: on a machine that others use too, the others only add."""
Costs = dict[str, dict[str, float]]


class Cost(NamedTuple):
    """One thing that is done to a store."""

    name: str
    what: str
    grows: bool
    """Whether there is something to do for every task; else the whole must stay flat."""


COSTS: Final = (
    Cost("plan", "lay out all rows", grows=True),
    Cost("plan_task", "work out one task", grows=False),
    Cost("resume", "continue a store that is half done", grows=True),
    Cost("commit", "extract, write and commit one task", grows=False),
    Cost("assemble", "manifest from commits and statistics", grows=True),
    Cost("open", "open the manifest", grows=True),
    Cost("inspect", "describe the store", grows=True),
    Cost("stream_open", "open a stream", grows=True),
    Cost("first_batch", "draw the order of all windows, and its first batch", grows=True),
    Cost("next_batches", "a batch after that", grows=False),
)


def measure_sizes(folder: Path, sizes: Sequence[int], *, rounds: int = ROUNDS) -> dict[int, Costs]:
    """Return what every step costs at every size, the fastest of some rounds; sizes take turns."""
    costs: dict[int, Costs] = {size: {} for size in sizes}
    for size in sizes:
        _step("make", folder / str(size), size)
    for step in STEPS:
        for size in list(sizes) * rounds:
            for name, cost in _step(step, folder / str(size), size).items():
                costs[size][name] = min(costs[size].get(name, cost), cost, key=lambda each: each["seconds"])
    return costs


def _step(step: str, folder: Path, size: int) -> Costs:
    """Do a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.contestants.steps", step, str(folder), str(size)]
    costs: Costs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return costs


def flatness(costs: dict[int, Costs]) -> dict[str, float]:
    """Return the seconds at the largest size over those at the smallest: for each task, where each has its share.

    At most about 1 is flat.
    """
    least, most = min(costs), max(costs)
    return {
        cost.name: costs[most][cost.name]["seconds"]
        / costs[least][cost.name]["seconds"]
        / (most / least if cost.grows else 1)
        for cost in COSTS
    }


def table(costs: dict[int, Costs]) -> str:
    """Return a Markdown table: seconds, megabytes and requests at every size, and how flat they are."""
    flat = flatness(costs)
    head = ["step", *(f"{size:,} tasks: s / MB / requests" for size in costs), "flat"]
    rows = [[cost.what, *(_cell(costs[size][cost.name]) for size in costs), f"{flat[cost.name]:.2f}"] for cost in COSTS]
    return markdown.table(head, rows)


def _cell(cost: dict[str, float]) -> str:
    return f"{cost['seconds']:.3g} / {cost['peak_mb']:.0f} / {cost['requests']:,.0f}"


def summary(costs: dict[int, Costs]) -> dict[str, Any]:
    """Return what goes into the results."""
    largest = costs[max(costs)]
    opening = [largest["open"], largest["inspect"]]
    return {
        "task_rows": TASK_ROWS,
        "open_and_inspect": {
            "tasks": max(costs),
            "seconds": sum(each["seconds"] for each in opening),
            "requests": sum(each["requests"] for each in opening),
        },
        "ratios": flatness(costs),
        "costs": {str(size): each for size, each in costs.items()},
    }


def main() -> None:
    """Run the benchmark and write `benchmarks/results/scale.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--proteins", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    add_look_only(parser)
    options = parser.parse_args()
    recording = Recording("scale", look_only=options.no_write)
    with tempfile.TemporaryDirectory() as name:
        costs = measure_sizes(Path(name), SIZES)
        _step("make", Path(name) / "far", FAR_TASKS)
        far = _step("assemble_far", Path(name) / "far", FAR_TASKS)["assemble_far"]
    print(table(costs), flush=True)
    with tempfile.TemporaryDirectory() as name:
        workers = compare_workers(options.sequences, Path(name), proteins=options.proteins, rounds=options.rounds)
    print(json.dumps(workers, indent=2))
    far = {"tasks": FAR_TASKS, "request_s": 0.02, **far}
    recording.finish({**summary(costs), "assemble_far": far, "workers": workers}, long=("costs", "workers"))


if __name__ == "__main__":
    main()
