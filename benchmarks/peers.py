"""What dictionaries learn with our defaults, beside those of other libraries, on the same rows in the same order.

- `block 3` and `block 5`: rows of the shipped ESM-2 over natural proteins, F = 1,024, k = 16. Explained variance is
  that of held-out proteins.
- `planted`: rows that are sparse sums of known directions; `recovered` is the mean over the directions of the largest
  cosine with a decoder row.

A latent is dead that is active on none of the last 100,000 rows of training, with the weights at the end.

The others have their own defaults, but count a latent as dead after as many rows as we do: with their 10 M rows no
latent would ever be revived in runs of this length.

    python -m benchmarks.peers proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import ModelRecipe
from actstore.extract.model import load_model
from actstore.view.progress import terminal_progress
from benchmarks.contestants.learners import Kind, Learner, Ours, Sizes, learners_of
from benchmarks.data.planted import mean_max_cosine, plant
from benchmarks.data.site_rows import PartSizes, natural_rows
from benchmarks.pages import markdown
from benchmarks.recording.report import Recording, add_look_only
from benchmarks.recording.spread import spread

__all__ = ["FULL", "Data", "compare", "learn", "main", "natural", "over_seeds", "planted", "score_cells", "table"]

FULL: Final = PartSizes(calibration_proteins=20, held_out_rows=30_000, train_rows=300_000)
BATCH_ROWS: Final = 1024
EPOCHS: Final = 3
OURS: Final = "actstore"
SEEDS: Final = (0, 1, 2)
JUDGED_ROWS: Final = 100_000
NATURAL: Final = ("block 3", "block 5")
SIX_BLOCKS: Final = "blocks 0 to 5"
_BLOCK_ROWS: Final = 8192


class Data(NamedTuple):
    """Rows to learn from, and to score on."""

    name: str
    train_NX: Tensor
    held_out_NX: Tensor
    latents: int
    k: int
    sites: int = 1
    direction_FX: Float32s | None = None
    """What the rows are made of, unit length; None where nobody knows."""

    def sizes(self, epochs: int) -> Sizes:
        """Return what to train on them, for whole batches of so many epochs."""
        steps = epochs * (len(self.train_NX) // BATCH_ROWS)
        return Sizes(self.sites, self.train_NX.shape[1] // self.sites, self.latents, self.k, BATCH_ROWS, steps)


def natural(sequences: str, model: str, sizes: PartSizes, *, progress: Progress) -> list[Data]:
    """Return rows of two blocks of a model, and those of its first six blocks side by side."""
    sites = [f"resid_post.{block}" for block in range(6)]
    loaded = load_model(ModelRecipe(name=model), tuple(sites))
    found = {
        rows.site: rows
        for rows in natural_rows("natural", sequences, loaded, sizes, train_sites=sites, progress=progress)
    }
    train_NSD = np.stack([found[site].train_ND for site in sites], axis=1)  # type: ignore[misc]  # all are trained on
    held_out_NSD = np.stack([found[site].held_out_ND for site in sites], axis=1)

    def data(name: str, blocks: list[int]) -> Data:
        train_NX, held_out_NX = (
            torch.from_numpy(each[:, blocks].reshape(len(each), -1)) for each in (train_NSD, held_out_NSD)
        )
        return Data(name, train_NX, held_out_NX, 1024, 16, len(blocks))

    return [data(NATURAL[0], [3]), data(NATURAL[1], [5]), data(SIX_BLOCKS, [*range(6)])]


def planted(*, rows: int, width: int = 64, directions: int = 256, active: int = 8) -> Data:
    """Return rows that are sums of some of many directions."""
    values_ND, direction_FD = plant(rows=rows, width=width, directions=directions, active=active, seed=0)
    held_out_NX, train_NX = torch.from_numpy(values_ND).tensor_split([rows // 10])
    return Data("planted", train_NX, held_out_NX, directions, active, direction_FX=direction_FD)


def learn(learner: Learner, data: Data, sizes: Sizes, *, seed: int, tick: Callable[[], object]) -> dict[str, float]:
    """Train on rows in random order, the same for every learner, and score it."""
    draw = torch.Generator().manual_seed(seed)
    order, seen = torch.empty(0, dtype=torch.int64), []
    for _ in range(sizes.steps):
        if len(order) < sizes.batch_rows:
            order = torch.randperm(len(data.train_NX), generator=draw)
        learner.step(data.train_NX[order[: sizes.batch_rows]])
        seen.append(order[: sizes.batch_rows])
        order = order[sizes.batch_rows :]
        tick()
    return _score(learner, data, last_rows=torch.cat(seen)[-JUDGED_ROWS:])


def _score(learner: Learner, data: Data, *, last_rows: Tensor) -> dict[str, float]:
    error, active = 0.0, 0
    for values_BX in torch.split(data.held_out_NX, _BLOCK_ROWS):
        back_BX, active_BF = learner.forward(values_BX)
        error += float((values_BX - back_BX).double().square().sum())
        active += int(active_BF.sum())
    centred_NX = (data.held_out_NX - data.held_out_NX.mean(dim=0)).double()
    alive_F = torch.zeros(data.latents, dtype=torch.bool)
    for index_B in torch.split(last_rows, _BLOCK_ROWS):
        alive_F |= learner.forward(data.train_NX[index_B])[1].any(dim=0)
    scores = {
        "explained_variance": 1 - error / float(centred_NX.square().sum()),
        "dead": 1 - float(alive_F.double().mean()),
        "l0": active / len(data.held_out_NX),
    }
    if data.direction_FX is not None:
        scores["recovered"] = mean_max_cosine(data.direction_FX, learner.decoder_FX().numpy())
    return scores


def compare(
    all_data: Sequence[Data], *, kind: Kind = "topk", seeds: Sequence[int], epochs: int = EPOCHS, progress: Progress
) -> dict[str, Any]:
    """Return the scores of every learner of a kind on all rows: for each the spread over seeds."""
    scores: dict[str, Any] = {}
    for data in all_data:
        sizes = data.sizes(epochs)
        scores[data.name] = {}
        for name, make in learners_of(kind).items():

            def learner(
                seed: int,
                name: str = name,
                make: Callable[..., Learner] = make,
                sizes: Sizes = sizes,
                data: Data = data,
            ) -> Learner:
                ours = Ours(sizes, data.train_NX, seed, kind=kind)
                if name == OURS:
                    return ours
                return make(sizes, data.train_NX, seed, dead_after_rows=ours.dead_after_rows)

            scores[data.name][name] = over_seeds(name, learner, data, sizes, seeds=seeds, progress=progress)
    return scores


def over_seeds(
    name: str,
    make: Callable[[int], Learner],
    data: Data,
    sizes: Sizes,
    *,
    seeds: Sequence[int],
    progress: Progress,
) -> dict[str, dict[str, float]]:
    """Train a learner with each seed; return the spread of each score."""
    runs = []
    for seed in seeds:
        learner = make(seed)
        with progress.stage(f"{data.name}: {name}, seed {seed}", total=sizes.steps, unit="steps") as stage:
            runs.append(learn(learner, data, sizes, seed=seed, tick=functools.partial(stage.advance, 1)))
    return {score: spread([run[score] for run in runs]) for score in runs[0]}


def table(results: Mapping[str, Any]) -> str:
    """Return a Markdown table: what each learner explains, leaves dead and recovers."""
    lines = [
        [
            data,
            f"**{name}**" if name == "actstore" else name,
            *score_cells(scores),
            markdown.spread_cell(scores["recovered"], digits=3) if "recovered" in scores else "",
        ]
        for data, learners in results["scores"].items()
        for name, scores in learners.items()
    ]
    found = ("explained variance, held out", "dead latents, %")
    notes = f"Median of {results['seeds']} seeds (least to most); {results['epochs']} epochs."
    made = markdown.table(("rows", "", *found, "recovered"), lines)
    return "\n\n".join([made, notes, markdown.machine_line(results)])


def score_cells(scores: Mapping[str, Any]) -> list[str]:
    """Return explained variance and dead latents as cells of a table."""
    dead_percent = {field: 100 * share for field, share in scores["dead"].items()}
    return [markdown.spread_cell(scores["explained_variance"], digits=4), markdown.spread_cell(dead_percent, digits=1)]


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--model", default="examples/esm2-tiny")
    parser.add_argument("--only", action="append", help="only these rows, such as planted; may be repeated")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("peers", look_only=asked.no_write, timed=False)
    progress = terminal_progress(quiet=False)
    all_data = [planted(rows=200_000), *natural(asked.sequences, asked.model, FULL, progress=progress)]
    chosen = [data for data in all_data if not asked.only or data.name in asked.only]
    one_site = [data for data in chosen if data.sites == 1]
    scores = compare(one_site, seeds=SEEDS, epochs=asked.epochs, progress=progress)
    recording.finish(
        {
            "seeds": len(SEEDS),
            "epochs": asked.epochs,
            "batch_rows": BATCH_ROWS,
            "scores": scores,
        }
    )


if __name__ == "__main__":
    main()
