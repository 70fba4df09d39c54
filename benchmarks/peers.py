"""What a TopK dictionary learns with our defaults, beside other libraries, on the same rows in the same order.

- `block 3` and `block 5`: rows of the shipped ESM-2 over natural proteins, F = 1,024, k = 16. Explained variance is
  that of held-out proteins. A latent is dead that is active on none of the rows of training.
- `planted`: rows that are sparse sums of known directions; `recovered` is the mean over the directions of the largest
  cosine with a decoder row.

The others have their own defaults, but count a latent as dead after as many rows as we do: with their 10 M rows no
latent would ever be revived in runs of this length.

    python -m benchmarks.peers proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import ModelRecipe
from actstore.extract.model import load_model
from actstore.view.progress import terminal_progress
from benchmarks.contestants.learners import LEARNERS, Learner, Ours, Sizes
from benchmarks.data.planted import mean_max_cosine, plant
from benchmarks.data.site_rows import PartSizes, natural_rows
from benchmarks.pages import markdown
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import spread

__all__ = ["FULL", "Data", "learn", "main", "measure", "natural", "planted", "table"]

FULL: Final = PartSizes(calibration_proteins=20, held_out_rows=30_000, train_rows=300_000)
BATCH_ROWS: Final = 1024
EPOCHS: Final = 3
SEEDS: Final = (0, 1, 2)
_BLOCK_ROWS: Final = 8192


class Data(NamedTuple):
    """Rows to learn from, and to score on."""

    name: str
    train_NX: Tensor
    held_out_NX: Tensor
    latents: int
    k: int
    direction_FX: Float32s | None
    """What the rows are made of, unit length; None where nobody knows."""


def natural(sequences: str, model: str, sizes: PartSizes, *, progress: Progress) -> Iterator[Data]:
    """Yield rows of two blocks of a model."""
    for block in (3, 5):
        site = f"resid_post.{block}"
        loaded = load_model(ModelRecipe(name=model), (site,))
        [rows] = natural_rows("natural", sequences, loaded, sizes, train_site=site, progress=progress)
        assert rows.train_ND is not None
        train_NX, held_out_NX = (
            torch.from_numpy(np.ascontiguousarray(each)) for each in (rows.train_ND, rows.held_out_ND)
        )
        yield Data(f"block {block}", train_NX, held_out_NX, 1024, 16, None)


def planted(*, rows: int, width: int = 64, directions: int = 256, active: int = 8) -> Data:
    """Return rows that are sums of some of many directions."""
    values_ND, direction_FD = plant(rows=rows, width=width, directions=directions, active=active, seed=0)
    held_out_NX, train_NX = torch.from_numpy(values_ND).tensor_split([rows // 10])
    return Data("planted", train_NX, held_out_NX, directions, active, direction_FD)


def learn(learner: Learner, data: Data, sizes: Sizes, *, seed: int, tick: Callable[[], object]) -> dict[str, float]:
    """Train on rows in random order, the same for every learner, and score it."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(sizes.steps):
        if len(order) < sizes.batch_rows:
            order = torch.randperm(len(data.train_NX), generator=draw)
        learner.step(data.train_NX[order[: sizes.batch_rows]])
        order = order[sizes.batch_rows :]
        tick()
    return _score(learner, data)


def _score(learner: Learner, data: Data) -> dict[str, float]:
    error, active = 0.0, 0
    for values_BX in torch.split(data.held_out_NX, _BLOCK_ROWS):
        back_BX, active_BF = learner.forward(values_BX)
        error += float((values_BX - back_BX).double().square().sum())
        active += int(active_BF.sum())
    centred_NX = (data.held_out_NX - data.held_out_NX.mean(dim=0)).double()
    alive_F = torch.zeros(data.latents, dtype=torch.bool)
    for values_BX in torch.split(data.train_NX, _BLOCK_ROWS):
        alive_F |= learner.forward(values_BX)[1].any(dim=0)
    scores = {
        "explained_variance": 1 - error / float(centred_NX.square().sum()),
        "dead": 1 - float(alive_F.double().mean()),
        "l0": active / len(data.held_out_NX),
    }
    if data.direction_FX is not None:
        scores["recovered"] = mean_max_cosine(data.direction_FX, learner.decoder_FX().numpy())
    return scores


def measure(
    all_data: Sequence[Data], *, seeds: Sequence[int], epochs: int = EPOCHS, progress: Progress
) -> dict[str, Any]:
    """Return the scores of every learner on all rows: for each the spread over seeds."""
    results: dict[str, Any] = {}
    for data in all_data:
        steps = epochs * (len(data.train_NX) // BATCH_ROWS)
        sizes = Sizes(1, data.train_NX.shape[1], data.latents, data.k, BATCH_ROWS, steps)
        results[data.name] = {}
        for name, make in LEARNERS.items():
            runs = []
            for seed in seeds:
                ours = Ours(sizes, data.train_NX, seed)
                learner = (
                    ours if make is Ours else make(sizes, data.train_NX, seed, dead_after_rows=ours.dead_after_rows)
                )
                with progress.stage(f"{data.name}: {name}, seed {seed}", total=steps, unit="steps") as stage:
                    runs.append(learn(learner, data, sizes, seed=seed, tick=lambda stage=stage: stage.advance(1)))  # type: ignore[misc]
            results[data.name][name] = {score: spread([run[score] for run in runs]) for score in runs[0]}
    return {"seeds": len(seeds), "epochs": epochs, "batch_rows": BATCH_ROWS, "scores": results}


def table(results: Mapping[str, Any]) -> str:
    """Return a Markdown table: each learner's explained variance, dead latents and recovery on all rows."""
    lines = [
        [
            data,
            f"**{name}**" if name == "actstore" else name,
            markdown.spread_cell(scores["explained_variance"], digits=4),
            markdown.spread_cell({field: 100 * share for field, share in scores["dead"].items()}, digits=1),
            markdown.spread_cell(scores["recovered"], digits=3) if "recovered" in scores else "",
        ]
        for data, learners in results["scores"].items()
        for name, scores in learners.items()
    ]
    heads = ("rows", "", "explained variance, held out", "dead latents, %", "recovered")
    notes = f"Median of {results['seeds']} seeds (least to most); {results['epochs']} epochs."
    return "\n".join([markdown.table(heads, lines), "", notes, "", markdown.machine_line(results)])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--model", default="examples/esm2-tiny")
    parser.add_argument("--only", action="append", help="only these rows, such as planted; may be repeated")
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("peers", look_only=asked.no_write)
    progress = terminal_progress(quiet=False)
    all_data = [planted(rows=200_000), *natural(asked.sequences, asked.model, FULL, progress=progress)]
    chosen = [data for data in all_data if not asked.only or data.name in asked.only]
    recording.finish(measure(chosen, seeds=SEEDS, progress=progress))


if __name__ == "__main__":
    main()
