"""How much of the activations each encoding keeps.

Three questions, on rows of a real model over natural proteins and on synthetic rows with outlier channels:

- signal to quantisation noise of every channel, at how many bits per value;
- explained variance, on held-out float32 rows, of SAEs trained on encoded rows, against SAEs trained on the float32
  rows: with the same initial weights, input scale and order of rows, so that seeds cancel in the difference;
- the share of features of an SAE trained on float32 rows that are active on the same held-out rows after encoding.

Training amplifies any difference between rows, however small: the losses of float16, at more than 70 dB, show how far
two runs drift apart for no good reason, and no difference smaller than that means anything.

    python -m benchmarks.fidelity proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import ModelRecipe
from actstore.extract.model import load_model
from actstore.testing.memory_stream import MemoryMoments
from actstore.view.progress import terminal_progress
from benchmarks.contestants.dictionaries import SURVIVES, coded, explained_variance, survival, trained
from benchmarks.contestants.encodings import ENCODINGS, decoded, signal_to_noise
from benchmarks.data.site_rows import PartSizes, SiteRows, natural_rows, synthetic_rows
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.recording.report import Recording, add_look_only
from trainers.fit.config import TrainConfig

__all__ = ["FULL", "NARROW", "NATURAL", "OUTLIERS", "QUICK", "Sizes", "main", "measure", "reached"]

Record = dict[str, Any]

NATURAL: Final = "natural"
OUTLIERS: Final = "outliers"
NARROW: Final = "narrow outliers"
SITES: Final = ("embed", "resid_post.*", "final_norm")
TRAIN_SITE: Final = "resid_post.3"
LEAST_ROWS: Final = (1, 100)
"""All features that are active at all, and those whose Jaccard index a single row moves by no more than a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    parts: PartSizes
    outliers: SyntheticActivations
    """For the noise alone."""
    narrow: SyntheticActivations
    """Also to train on: at the width of the other, SAEs would take an hour."""
    natural_config: TrainConfig
    narrow_config: TrainConfig
    seeds: int


FULL: Final = Sizes(
    parts=PartSizes(calibration_proteins=256, held_out_rows=60_000, train_rows=500_000),  # 256: default of a recipe
    outliers=SyntheticActivations(rows=150_000, sites=1, width=1024, proteins=525),
    narrow=SyntheticActivations(rows=400_000, sites=1, width=256, proteins=1400),
    natural_config=TrainConfig(k=32, expansion=8),
    narrow_config=TrainConfig(k=32, expansion=2),
    seeds=3,
)
QUICK: Final = Sizes(
    parts=PartSizes(calibration_proteins=20, held_out_rows=3000, train_rows=20_000),
    outliers=SyntheticActivations(rows=8000, sites=1, width=1024, proteins=50),
    narrow=SyntheticActivations(rows=8000, sites=1, width=128, proteins=50),
    natural_config=TrainConfig(k=16, latents=256, batch_rows=256, steps=100),
    narrow_config=TrainConfig(k=16, latents=128, batch_rows=256, steps=100),
    seeds=2,
)


def measure(sequences: str, model: str, sizes: Sizes, *, progress: Progress) -> Record:
    """Measure everything and return the results, the numbers that are quoted first."""
    noise: list[Record] = []
    trainings: list[Record] = []
    features: list[Record] = []
    for rows, config in data_sets(sequences, model, sizes, progress=progress):
        noise += noise_records(rows, progress=progress)
        if rows.train_ND is None:
            continue
        for seed in range(sizes.seeds):
            seeded = config.model_copy(update={"seed": seed})
            more_trainings, more_features = dictionary_records(rows, rows.train_ND, seeded, progress=progress)
            trainings += more_trainings
            features += more_features
    return {
        **quoted(noise, trainings),
        "noise": noise,
        "explained_variance": trainings_summary(trainings),
        "feature_survival_jaccard": SURVIVES,
        "feature_survival": features_summary(features),
        "runs": {"explained_variance": trainings, "feature_survival": features},
    }


def data_sets(
    sequences: str, model: str, sizes: Sizes, *, progress: Progress
) -> Iterator[tuple[SiteRows, TrainConfig]]:
    """Yield the sites to measure on, one after the other, each with how to train on it."""
    noise_only = sizes.parts._replace(train_rows=0)
    yield synthetic_rows(OUTLIERS, sizes.outliers, noise_only, progress=progress), sizes.narrow_config
    yield synthetic_rows(NARROW, sizes.narrow, sizes.parts, progress=progress), sizes.narrow_config
    network = load_model(ModelRecipe(name=model), SITES)
    for rows in natural_rows(NATURAL, sequences, network, sizes.parts, train_sites=[TRAIN_SITE], progress=progress):
        yield rows, sizes.natural_config


def noise_records(rows: SiteRows, *, progress: Progress) -> list[Record]:
    """Measure the noise of every encoding on the held-out rows of a site."""
    deviation_D = rows.held_out_ND.std(axis=0, dtype=np.float64)
    facts = {
        "rows": len(rows.held_out_ND),
        "width": rows.held_out_ND.shape[1],
        "loudest_channel_over_median": float(deviation_D.max() / np.median(deviation_D)),
    }
    records = []
    with progress.stage(f"noise: {rows.data}, {rows.site}", total=len(ENCODINGS), unit="encodings") as stage:
        for name, quantizer in ENCODINGS.items():
            noise = signal_to_noise(rows.held_out_ND, quantizer, rows.calibration)
            records.append({"data": rows.data, "site": rows.site, "encoding": name, **noise._asdict(), **facts})
            stage.advance(1)
    return records


def dictionary_records(
    rows: SiteRows, train_ND: Float32s, config: TrainConfig, *, progress: Progress
) -> tuple[list[Record], list[Record]]:
    """Train with one seed on float32 rows and on those of every encoding; return trainings and features."""
    moments = MemoryMoments.of(train_ND)
    title = f"training: {rows.data}, seed {config.seed}"
    reference = trained(config, train_ND, moments, title=f"{title}, float32", progress=progress)
    of_float = explained_variance(reference, rows.held_out_ND)
    code_NF = coded(reference, rows.held_out_ND)
    trainings, features = [], []
    for name, quantizer in ENCODINGS.items():
        where = {"data": rows.data, "site": rows.site, "encoding": name, "seed": config.seed}
        encoded_ND = decoded(train_ND, quantizer, rows.calibration)
        state = trained(config, encoded_ND, moments, title=f"{title}, {name}", progress=progress)
        of_encoded = explained_variance(state, rows.held_out_ND)
        trainings.append(
            {
                **where,
                "rows": len(train_ND),
                "explained_variance_float": of_float,
                "explained_variance_encoded": of_encoded,
                "loss": of_float - of_encoded,
            }
        )
        encoded_NF = coded(reference, decoded(rows.held_out_ND, quantizer, rows.calibration))
        kept = [survival(code_NF, encoded_NF, least_rows=least) for least in LEAST_ROWS]
        features += [{**where, **each._asdict()} for each in kept]
    return trainings, features


def trainings_summary(trainings: Sequence[Record]) -> list[Record]:
    """Return the loss of explained variance over the seeds, beside how far apart the seeds are themselves."""
    summaries = []
    for where, runs in _alike(trainings, ("data", "encoding")):
        losses = [run["loss"] for run in runs]
        of_float = [run["explained_variance_float"] for run in runs]
        summaries.append(
            {
                **where,
                "seeds": len(runs),
                "loss": statistics.mean(losses),
                "smallest_loss": min(losses),
                "largest_loss": max(losses),
                "explained_variance_float": statistics.mean(of_float),
                "spread_of_float_over_seeds": max(of_float) - min(of_float),
            }
        )
    return summaries


def features_summary(features: Sequence[Record]) -> list[Record]:
    """Return means over the seeds."""
    fields = ("features", "share", "median_jaccard", "activations")
    return [
        {**where, "seeds": len(runs), **{field: statistics.mean(run[field] for run in runs) for field in fields}}
        for where, runs in _alike(features, ("data", "encoding", "least_rows"))
    ]


def quoted(noise: Iterable[Record], trainings: Sequence[Record]) -> Record:
    """Return what documents quote: noise on the synthetic rows, loss of explained variance on the natural ones."""
    fields = ("median_db", "worst_db", "bits_per_value")
    results: Record = {
        f"{record['encoding']}_outliers": {field: record[field] for field in fields}
        for record in noise
        if record["data"] == OUTLIERS
    }
    for record in trainings_summary(trainings):
        if record["data"] == NATURAL:
            results[f"explained_variance_loss_{record['encoding']}"] = record["loss"]
    return results


def reached(results: Record) -> dict[str, bool]:
    """Return which of the numbers to reach were reached."""
    int8, int4 = (results[f"{name}_outliers"] for name in ("int8", "int4"))
    return {
        "int8: median channel >= 38 dB": int8["median_db"] >= 38,
        "int8: worst channel >= 30 dB": int8["worst_db"] >= 30,
        "int8: <= 8.2 bits per value": int8["bits_per_value"] <= 8.2,
        "int4: median channel >= 18 dB": int4["median_db"] >= 18,
        "int4: <= 4.2 bits per value": int4["bits_per_value"] <= 4.2,
        "int8: explained variance within 0.002": abs(results["explained_variance_loss_int8"]) <= 0.002,
    }


def show(results: Record) -> None:
    """Print the results as tables."""
    print(f"\n{'signal to noise, dB':44}{'median':>9}{'worst':>9}{'bits':>9}")
    for record in results["noise"]:
        what = f"{record['data']}, {record['site']}, {record['encoding']}"
        decibels = [record[field] for field in ("median_db", "worst_db")]
        shown = "".join(f"{'-' if db is None else f'{db:.1f}':>9}" for db in decibels)
        print(f"{what:44}{shown}{record['bits_per_value']:9.3f}")
    heads = "".join(f"{head:>9}" for head in ("mean", "least", "most", "float32", "spread"))
    print(f"\n{'loss of explained variance over seeds':44}{heads}")
    for record in results["explained_variance"]:
        fields = ("loss", "smallest_loss", "largest_loss", "explained_variance_float", "spread_of_float_over_seeds")
        shown = "".join(f"{record[field]:9.5f}" for field in fields)
        print(f"{record['data'] + ', ' + record['encoding']:44}{shown}")
    heads = "".join(f"{head:>9}" for head in ("share", "median", "all", "features"))
    print(f"\n{f'features with a Jaccard index >= {SURVIVES}':44}{heads}")
    for record in results["feature_survival"]:
        what = f"{record['data']}, {record['encoding']}, on >= {record['least_rows']} rows"
        shown = "".join(f"{record[field]:9.4f}" for field in ("share", "median_jaccard", "activations"))
        print(f"{what:44}{shown}{record['features']:9.0f}")
    print()
    for target, is_reached in reached(results).items():
        print(f"{target}: {'yes' if is_reached else 'NO'}")


def main() -> None:
    """Run the benchmark and write `benchmarks/results/fidelity.json`; with `--quick`, write nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences")
    parser.add_argument("--model", default="examples/esm2-tiny")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--quick", action="store_true", help="half a minute, to see whether it runs; writes nothing")
    add_look_only(parser)
    options = parser.parse_args()
    recording = Recording("fidelity", look_only=options.no_write or options.quick)
    sizes = QUICK if options.quick else FULL
    if options.seeds is not None:
        sizes = replace(sizes, seeds=options.seeds)
    results = measure(options.sequences, options.model, sizes, progress=terminal_progress())
    show(results)
    recording.finish(results, long=("noise", "explained_variance", "feature_survival", "runs"))


def _alike(records: Sequence[Record], keys: Sequence[str]) -> Iterator[tuple[Record, list[Record]]]:
    """Group records by the values of some keys, in the order in which they first occur."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    for values, group in groups.items():
        yield dict(zip(keys, values, strict=True)), group


if __name__ == "__main__":
    main()
