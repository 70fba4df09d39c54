"""What a training step of a TopK dictionary takes, beside other libraries and beside its encode product alone.

The same rows go to every contestant in turn, step by step, so that whatever else the machine does meets all of them:

- one site of 1,024 features, F = 8,192, k = 32, batches of 4,096 rows;
- six sites of 512 features, F = 4,096, k = 32: our crosscoder, and the others' SAE of the concatenated sites, which has
  as many products.

`encode` is ``x @ W_enc + b_enc`` alone: no dictionary can take less. With `bf16` our step has its products in bfloat16,
as `--precision bf16` does. Last, the dictionary of one site is trained from a local store: how much of the time goes to
the rows.

    python -m benchmarks.train
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Progress
from actstore.view.progress import terminal_progress
from benchmarks.contestants.learners import LEARNERS, Sizes
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.data.synthetic_stores import SyntheticModel, recipe_of, write_fasta, write_stores
from benchmarks.pages import markdown
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import ratios_of_rounds, spread
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store

__all__ = ["FULL", "main", "measure", "measure_from_store", "table"]

FULL: Final = {
    "one site": Sizes(sites=1, width=1024, latents=8192, k=32, batch_rows=4096, steps=100),
    "six sites": Sizes(sites=6, width=512, latents=4096, k=32, batch_rows=4096, steps=100),
}
TITLES: Final = {
    "actstore": "**actstore**",
    "actstore bf16": "**actstore**, `--precision bf16`",
    "sparsify": "sparsify",
    "dictionary_learning": "dictionary_learning",
    "SAELens": "SAELens",
    "encode": "the encode product alone",
}
STORE_STEPS: Final = 60
_WARM_STEPS: Final = 2


def measure(sizes: Mapping[str, Sizes], *, rounds: int, progress: Progress) -> dict[str, Any]:
    """Return the seconds of a step, and ours over each other's, within rounds."""
    return {name: _measure(name, each, rounds=rounds, progress=progress) for name, each in sizes.items()}


def _measure(name: str, sizes: Sizes, *, rounds: int, progress: Progress) -> dict[str, Any]:
    rows_NX = torch.randn(4 * sizes.batch_rows, sizes.inputs, generator=torch.Generator().manual_seed(0))
    batches = torch.split(rows_NX, sizes.batch_rows)
    steps: dict[str, Callable[[Tensor], object]] = {
        kind: make(sizes, rows_NX, 0).step for kind, make in LEARNERS.items()
    }
    steps["actstore bf16"] = LEARNERS["actstore"](sizes, rows_NX, 0, precision="bf16").step
    weight_XF, bias_F = torch.randn(sizes.latents, sizes.inputs).t(), torch.zeros(sizes.latents)
    steps["encode"] = lambda values_BX: torch.addmm(bias_F, values_BX, weight_XF)
    seconds: dict[str, list[float]] = {kind: [] for kind in steps}
    with progress.stage(f"training, {name}", total=rounds + _WARM_STEPS, unit="rounds") as stage:
        for number in range(rounds + _WARM_STEPS):
            for kind, step in steps.items():
                started = time.perf_counter()
                step(batches[number % len(batches)])
                if number >= _WARM_STEPS:
                    seconds[kind].append(time.perf_counter() - started)
            stage.advance(1)
    return {
        "sizes": sizes._asdict(),
        "rounds": rounds,
        "step_s": {kind: spread(values) for kind, values in seconds.items()},
        "ratios": {
            **{f"{kind} over actstore": ratios_of_rounds(seconds, kind, "actstore") for kind in steps},
            "actstore over encode": ratios_of_rounds(seconds, "actstore", "encode"),
            "actstore over actstore bf16": ratios_of_rounds(seconds, "actstore", "actstore bf16"),
        },
    }


def measure_from_store(sizes: Sizes, *, steps: int, progress: Progress) -> dict[str, float]:
    """Train from a local float16 store, and return the shares of the time in which a batch was made, or waited for."""
    rows = (steps + 1) * sizes.batch_rows
    model = SyntheticModel(SyntheticActivations(rows=rows, sites=1, width=sizes.width, proteins=max(rows // 250, 1)))
    with tempfile.TemporaryDirectory(prefix="actstore-train-") as name:
        folder = Path(name)
        recipe = recipe_of(write_fasta(folder / "proteins.fasta", model), sites=1, encoding="float16")
        stores = {"store": LocalObjects(folder / "store")}
        for _rows in write_stores(stores, {"store": recipe}, model, progress=progress):
            pass
        config = TrainConfig(latents=sizes.latents, k=sizes.k, batch_rows=sizes.batch_rows, steps=steps)
        result = read_from_store(folder / "store", config, RunOptions(out=folder / "run"), progress=progress)
    return {"steps": result.steps, "data_share": result.data_share, "wait_share": result.wait_share}


def table(results: Mapping[str, Any]) -> str:
    """Return a Markdown table: what a step of each takes, in units of ours."""
    found = {name: results[name] for name in FULL}
    lines = [
        [title, *(markdown.spread_cell(each["ratios"][f"{kind} over actstore"]) for each in found.values())]
        for kind, title in TITLES.items()
    ]
    limits = "; ".join(
        f"{name}: our step takes {each['ratios']['actstore over encode']['median']:.2f} of its encode product"
        for name, each in found.items()
    )
    stored = results["from a store"]
    limits += (
        f". Of {stored['steps']} steps from a local store, one site, {100 * stored['data_share']:.1f} % of the time "
        f"went to making batches, {100 * stored['wait_share']:.1f} % to waiting for bytes"
    )
    heads = ("time of a step, in units of ours", *found)
    return "\n".join([markdown.table(heads, lines), "", f"{limits}.", "", markdown.machine_line(results)])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("train", look_only=asked.no_write)
    progress = terminal_progress(quiet=False)
    found = measure(FULL, rounds=asked.rounds, progress=progress)
    found["from a store"] = measure_from_store(FULL["one site"], steps=STORE_STEPS, progress=progress)
    recording.finish(found)


if __name__ == "__main__":
    main()
