"""Extraction by one and by two workers, one core each: in this process, as Dask workers, as shares.

A store is begun once and copied, so that every run does the same tasks. What is measured is how fast the last three
quarters of the commits follow each other: starting processes and loading models is left out.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from actstore.access.open import LocalObjects
from actstore.store.write.frozen_recipe import load_frozen
from benchmarks.data.proteins import read_proteins
from benchmarks.recording.spread import ratios_of_rounds, spread

__all__ = ["CONTESTANTS", "compare_workers", "rows_per_s"]

MODEL: Final = "examples/esm2-tiny"
_TASK_ROWS: Final = 4096
_FEWEST_TASKS: Final = 8
_ACTSTORE: Final = (sys.executable, "-c", "from actstore.cli import main; main()", "extract", "--quiet")

CONTESTANTS: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "serial": ((),),
    "dask_1": (("--executor", "dask", "--workers", "1"),),
    "dask_2": (("--executor", "dask", "--workers", "2"),),
    "shares_2": (("--shard-of", "1/2"), ("--shard-of", "2/2")),
}
"""The options of each process that is started."""


def compare_workers(sequences: str, folder: Path, *, proteins: int, rounds: int) -> dict[str, Any]:
    """Run every contestant `rounds` times, in alternation; return rows a second, and ratios of the same round."""
    begun = _begin(sequences, folder, proteins=proteins)
    rates: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for name in itertools.chain.from_iterable(itertools.repeat(tuple(CONTESTANTS), rounds)):
        store = folder / "store"
        shutil.copytree(begun, store)
        _run([("--store", str(store), *options) for options in CONTESTANTS[name]])
        rates[name].append(rows_per_s(store))
        shutil.rmtree(store)
    pairs = {"dask_2_over_dask_1": ("dask_2", "dask_1"), "shares_2_over_serial": ("shares_2", "serial")}
    return {
        "model": MODEL,
        "proteins": proteins,
        "rows": load_frozen(LocalObjects(begun)).rows,
        "tasks": load_frozen(LocalObjects(begun)).tasks,
        "threads_per_worker": 1,
        "rows_per_s": {name: spread(values) for name, values in rates.items()},
        "ratios": {ratio: ratios_of_rounds(rates, of, to) for ratio, (of, to) in pairs.items()},
    }


def rows_per_s(store: Path) -> float:
    """Return the rows of the last three quarters of the commits, over the time that they took.

    Raises
    ------
    ValueError
        If the store is not finished, or has too few tasks to tell.
    """
    objects = LocalObjects(store)
    frozen = load_frozen(objects)
    written_s = {int(Path(path).stem): at_s for path, at_s in objects.modified("commits").items()}
    if not _FEWEST_TASKS <= len(written_s) == frozen.tasks:
        raise ValueError(f"{len(written_s)} of {frozen.tasks} tasks are committed; at least {_FEWEST_TASKS} are needed")
    in_order = sorted(written_s, key=lambda task: written_s[task])
    first = frozen.tasks // 4
    return sum(map(frozen.rows_of, in_order[first:])) / (written_s[in_order[-1]] - written_s[in_order[first - 1]])


def _begin(sequences: str, folder: Path, *, proteins: int) -> Path:
    fasta, recipe, store = folder / "proteins.fasta", folder / "recipe.toml", folder / "begun"
    fasta.write_text("".join(f">{name}\n{residues}\n" for name, residues in read_proteins(sequences, proteins)))
    recipe.write_text(
        f'sites = ["embed", "resid_post.*", "final_norm"]\n'
        f'[model]\nname = "{Path(MODEL).absolute()}"\n'
        f'[corpus]\nsequences = "{fasta}"\n'
        f"[store]\ntask_rows = {_TASK_ROWS}\ncalibration_sequences = 32\n"
    )
    _run([(str(recipe), "--store", str(store), "--stop-after", "0")])
    return store


def _run(processes: Sequence[Sequence[str]]) -> None:
    """Start processes with one core's worth of threads each, and wait for all."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    running = [
        subprocess.Popen([*_ACTSTORE, *options], env=environment, stdout=subprocess.DEVNULL) for options in processes
    ]
    failed = [process.args for process in running if process.wait()]
    if failed:
        raise RuntimeError(f"failed: {failed}")
