"""Which defaults of training leave few latents dead, at which explained variance.

Trains TopK sparse autoencoders of 1,024 latents, with k = 16 and 32, on three sets of rows: two sites of a real model
over natural proteins, and rows that are sums of 1,024 planted directions. Each choice of settings is scored by its
explained variance on held-out rows, by the share of its latents that are dead at the end, and on the planted rows by
the mean cosine of each true direction with its nearest decoder row. Dead is judged alike for all choices, whatever
`dead_after_rows` they train with: fired on none of the last 100,000 rows of training.

No figure is a time, so they do not depend on the load of the machine.

    python -m benchmarks.defaults proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from actstore import Progress, extract_store, open_stream, terminal_progress
from actstore.contracts.planes import Float32s
from actstore.testing.memory_stream import MemoryStream, moments_of
from actstore.workflows.recipes import parse_recipe
from benchmarks.contestants.dictionaries import explained_by
from benchmarks.data.planted import mean_max_cosine, plant
from benchmarks.recording.report import Recording, add_look_only
from trainers.fit.config import TrainConfig
from trainers.fit.dead import dead_latents
from trainers.fit.initialise import ENCODER_SCALE, start
from trainers.fit.loop import train
from trainers.fit.normalise import describe_inputs
from trainers.fit.plan import StreamFacts, plan_training
from trainers.fit.state import TrainState

__all__ = ["CHOICES", "FULL", "Choice", "DataRows", "Sizes", "geometric_median", "measure", "natural", "planted"]

Record = dict[str, Any]

SITES: Final = ("resid_post.3", "resid_post.5")
_ONE_SITE: Final = ("site",)
_MEDIAN_ROWS: Final = 20_000
_MEDIAN_ROUNDS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Settings to try: fields of `TrainConfig` that differ from the defaults, and changes of the first weights."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    encoder_scale: float = ENCODER_SCALE
    """The encoder starts as the transposed decoder times this."""
    centre: str = "mean"
    """`b_dec` starts at the `mean` of the rows, or at their geometric `median`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    latents: int = 1024
    kept: tuple[int, ...] = (16, 32)
    steps: int = 1000
    batch_rows: int = 1024
    train_rows: int = 500_000
    held_out_rows: int = 50_000
    judged_rows: int = 100_000
    """A latent is dead if it fired on none of the last so many rows."""


@dataclass(frozen=True, slots=True, eq=False)
class DataRows:
    """Rows of one site."""

    data: str
    train_ND: Float32s
    held_out_ND: Float32s
    direction_FD: Float32s | None = None
    """What they are made of, where that is known."""


FULL: Final = Sizes()
CHOICES: Final = (
    Choice(name="defaults"),
    Choice(name="rate 2.5e-3", options={"lr": 2.5e-3}),
    Choice(name="rate 1e-2", options={"lr": 1e-2}),
    Choice(name="encoder as the decoder, 2e-3", options={"lr": 2e-3, "encoder_rate": 1.0}),
    Choice(name="encoder rate 1/4", options={"encoder_rate": 0.25}),
    Choice(name="encoder rate 1/8", options={"encoder_rate": 0.125}),
    Choice(name="encoder rate 1/16", options={"encoder_rate": 0.0625}),
    Choice(name="no AuxK", options={"auxk_weight": 0.0}),
    Choice(name="AuxK weight 1/4", options={"auxk_weight": 0.25}),
    Choice(name="dead after 100,000 rows", options={"dead_after_rows": 100_000}),
    Choice(name="encoder starts at the decoder", encoder_scale=1.0),
    Choice(name="encoder starts at half of it", encoder_scale=0.5),
    Choice(name="encoder starts at a quarter of it", encoder_scale=0.25),
    Choice(name="b_dec at the geometric median", centre="median"),
    Choice(
        name="former defaults, without AuxK",
        options={"lr": 2e-3, "auxk_weight": 0.0, "encoder_rate": 1.0},
        encoder_scale=1.0,
    ),
)


def natural(sequences: str, model: str, store: Path, sizes: Sizes, *, progress: Progress) -> Iterable[DataRows]:
    """Return the rows of each site from a store of a model over proteins; it is extracted if it is not there."""
    if not store.exists():
        recipe = parse_recipe(
            {
                "model": {"name": model},
                "corpus": {"sequences": sequences},
                "sites": list(SITES),
                "splits": {"fractions": {"train": 0.9, "valid": 0.1}},
                "store": {"encoding": "float16"},
            },
            name="defaults",
        )
        extract_store(recipe, str(store), progress=progress)
    for site in SITES:
        parts = [
            _first_rows(store, site, split, rows)
            for split, rows in (("train", sizes.train_rows), ("valid", sizes.held_out_rows))
        ]
        yield DataRows(site, *parts)


def planted(sizes: Sizes) -> DataRows:
    """Return rows that are sums of 16 of as many directions as there are latents."""
    made = plant(rows=sizes.train_rows + sizes.held_out_rows, width=128, directions=sizes.latents, active=16, seed=0)
    return DataRows(
        "planted", made.values_ND[: sizes.train_rows], made.values_ND[sizes.train_rows :], made.direction_FD
    )


def measure(
    rows: Iterable[DataRows], choices: Sequence[Choice], sizes: Sizes, *, seeds: int, progress: Progress
) -> list[Record]:
    """Train each choice on all rows and return one record for each run."""
    records: list[Record] = []
    for each in rows:
        for kept in sizes.kept:
            for choice in choices:
                records += [_run(each, choice, sizes, kept=kept, seed=seed, progress=progress) for seed in range(seeds)]
    return records


def summary(records: Sequence[Record]) -> list[Record]:
    """Return the means over seeds, a record for each set of rows, k and choice."""
    groups: dict[tuple[str, int, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record["data"], record["k"], record["choice"]), []).append(record)
    return [
        {
            "data": data,
            "k": kept,
            "choice": choice,
            **{name: statistics.mean(run[name] for run in runs) for name in ("explained_variance", "dead_fraction")},
            "mean_max_cosine": None
            if runs[0]["mean_max_cosine"] is None
            else statistics.mean(run["mean_max_cosine"] for run in runs),
        }
        for (data, kept, choice), runs in groups.items()
    ]


def geometric_median(values_ND: Float32s) -> Float32s:
    """Return the point with the least sum of distances to the rows, by Weiszfeld's iteration.

    Examples
    --------
    >>> geometric_median(np.array([[0.0], [0.0], [0.0], [90.0]], dtype=np.float32)).round(3).tolist()
    [0.0]
    """
    values = values_ND.astype(np.float64)
    median_D = values.mean(axis=0)
    for _ in range(_MEDIAN_ROUNDS):
        weight_N = 1.0 / np.maximum(np.linalg.norm(values - median_D, axis=1), 1e-9)
        median_D = weight_N @ values / weight_N.sum()
    return np.asarray(median_D, dtype=np.float32)


def show(records: Sequence[Record]) -> None:
    """Print the means over seeds as a table."""
    print(f"{'rows':14}{'k':>4}  {'choice':32}{'explained':>10}{'dead':>8}{'cosine':>8}")
    for record in summary(records):
        cosine = "" if record["mean_max_cosine"] is None else f"{record['mean_max_cosine']:.3f}"
        figures = f"{record['explained_variance']:10.4f}{record['dead_fraction']:8.1%}{cosine:>8}"
        print(f"{record['data']:14}{record['k']:4}  {record['choice']:32}{figures}")


def main() -> None:
    """Run the benchmark and write `benchmarks/results/defaults.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences")
    parser.add_argument("--model", default="examples/esm2-tiny")
    parser.add_argument("--store", type=Path, help="a store with both sites, or where to make one", default=None)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=FULL.steps)
    parser.add_argument("--k", type=int, nargs="+", default=FULL.kept)
    parser.add_argument("--choice", nargs="+", help="names of choices; all by default", default=None)
    add_look_only(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    recording = Recording("defaults", look_only=options.no_write, timed=False)
    sizes = Sizes(steps=options.steps, kept=tuple(options.k))
    choices = [choice for choice in CHOICES if options.choice is None or choice.name in options.choice]
    progress = terminal_progress()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder) / "store"
        rows = [*natural(options.sequences, options.model, store, sizes, progress=progress), planted(sizes)]
        records = measure(rows, choices, sizes, seeds=options.seeds, progress=progress)
    show(records)
    recording.finish({"summary": summary(records), "runs": records}, long=("runs",))


def _run(rows: DataRows, choice: Choice, sizes: Sizes, *, kept: int, seed: int, progress: Progress) -> Record:
    config = TrainConfig(
        k=kept, latents=sizes.latents, steps=sizes.steps, batch_rows=sizes.batch_rows, seed=seed
    ).model_copy(update=choice.options)
    source = MemoryStream(rows.train_ND[:, None], _ONE_SITE, batch_rows=config.batch_rows, seed=seed)
    plan = plan_training(config, StreamFacts.of(source))
    inputs = describe_inputs(_ONE_SITE, moments_of(source.values_NSD, _ONE_SITE), normalisation=plan.normalisation)
    state = start(plan, inputs, device=torch.device("cpu"))
    _change_start(state, choice, rows)
    title = f"{rows.data}, k {kept}, {choice.name}"
    with progress.stage(title, total=plan.rows, unit="rows") as stage:
        for step in train(state, source, plan):
            stage.advance(step.batch_rows)
    held_out = MemoryStream(rows.held_out_ND[:, None], _ONE_SITE, batch_rows=4096)
    decoder_FD = state.dictionary.flat().decoder_FX.detach().numpy()
    return {
        "data": rows.data,
        "choice": choice.name,
        "k": kept,
        "seed": seed,
        "rows": plan.rows,
        "lr": plan.lr,
        "encoder_rate": plan.encoder_rate,
        "auxk_weight": plan.auxk_weight,
        "auxk_latents": plan.auxk_latents,
        "dead_after_rows": plan.dead_after_rows,
        "explained_variance": explained_by(state, held_out),
        "dead_fraction": len(dead_latents(state.idle_rows_F, dead_after_rows=sizes.judged_rows)) / plan.latents,
        "judged_rows": sizes.judged_rows,
        "mean_max_cosine": None if rows.direction_FD is None else mean_max_cosine(rows.direction_FD, decoder_FD),
    }


@torch.no_grad()
def _change_start(state: TrainState, choice: Choice, rows: DataRows) -> None:
    dictionary = state.dictionary
    dictionary.W_enc.mul_(choice.encoder_scale / ENCODER_SCALE)
    if choice.centre == "median":
        median_D = torch.from_numpy(geometric_median(rows.train_ND[:_MEDIAN_ROWS]))
        dictionary.b_dec.copy_(state.scale_S[0] * median_D)


def _first_rows(store: Path, site: str, split: str, rows: int) -> Float32s:
    """Return the first rows of a split in the order of training, float32."""
    blocks: list[Float32s] = []
    left = rows
    with open_stream(str(store), sites=[site], batch_rows=4096, seed=0, split=split) as stream:
        for batch in stream:
            blocks.append(np.array(batch.values_BSD[:left, 0]))
            left -= len(blocks[-1])
            if left <= 0:
                break
    return np.concatenate(blocks)


if __name__ == "__main__":
    main()
