"""Training from a store reaches the explained variance of training on float32 rows in memory.

Extracts a store, keeps the same rows as float32 in memory, trains the same dictionaries from both (same plan, same
initial weights; the memory run draws rows in uniform random order), and evaluates both on the held-out float32 rows.

    python -m benchmarks.training_parity proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.access.open import open_objects
from actstore.contracts.models import ActivationModel
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.extract.model import load_model
from actstore.extract.task import extract_task
from actstore.extract.threads import LoneThreads
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.stream.open import open_stream
from actstore.testing.memory_stream import MemoryStream
from actstore.view.progress import terminal_progress
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.plan import reopen
from actstore.workflows.recipes import parse_recipe
from benchmarks.contestants.dictionaries import explained_by, fitted
from benchmarks.recording.report import Recording, add_look_only
from trainers.fit.config import TrainConfig
from trainers.fit.normalise import SiteMoments
from trainers.fit.source import BatchSource

Float32s = NDArray[np.float32]
HELD_OUT: Final = "valid"
DICTIONARIES: Final = (
    TrainConfig(dictionary="topk-sae", sites=("resid_post.3",), k=32, expansion=8),
    TrainConfig(dictionary="crosscoder-topk", k=32, expansion=8),
)


def measure(
    recipe: Recipe, folder: Path, *, configs: Sequence[TrainConfig], seeds: Sequence[int], progress: Progress
) -> list[dict[str, Any]]:
    """Extract, train from both sources, and return one record for each dictionary and seed."""
    store = str(folder / "store")
    model = load_model(recipe.model, recipe.sites)
    extract_with(model, open_objects(store), recipe, progress=progress)
    rows_NSD = float_rows(store, model=model, progress=progress)
    records: list[dict[str, Any]] = []
    for config in configs:
        sites = config.sites or tuple(site.name for site in model.sites)
        columns = [[site.name for site in model.sites].index(name) for name in sites]
        chosen = {split: values_NSD[:, columns] for split, values_NSD in rows_NSD.items()}
        for seed in seeds:
            seeded = config.model_copy(update={"seed": seed})
            batch_rows = config.batch_rows
            memory = MemoryStream(chosen["train"], sites, batch_rows=batch_rows, seed=seed)
            with open_stream(store, sites=sites, batch_rows=batch_rows, seed=seed) as stored:
                manifest = stored.manifest
                from_store = explained(seeded, stored, chosen[HELD_OUT], manifest.statistics, progress)
            from_memory = explained(seeded, memory, chosen[HELD_OUT], manifest.statistics, progress)
            records.append(
                {
                    "dictionary": config.dictionary,
                    "encoding": recipe.store.encoding,
                    "seed": seed,
                    "rows": memory.rows,
                    "explained_variance_store": from_store,
                    "explained_variance_memory": from_memory,
                    "difference": from_store - from_memory,
                }
            )
    return records


def float_rows(store: str, *, model: ActivationModel, progress: Progress) -> dict[str, Float32s]:
    """Run the model over every task of a store again and keep the rows as float32 [N, S, D], by split."""
    objects = open_objects(store)
    frozen = load_frozen(objects)
    plan = reopen(objects, frozen, model).tasks
    parts: dict[str, list[Float32s]] = {}
    with (
        StoredSequences(objects) as source,
        progress.stage("rows into memory", total=frozen.rows, unit="rows") as stage,
        LoneThreads() as threads,
    ):
        for index in range(frozen.tasks):
            task = plan.task(index)
            rows = extract_task(
                task,
                source,
                model,
                tokens_per_batch=frozen.tokens_per_batch,
                parallel=threads.map,
                on_rows=stage.advance,
            )
            parts.setdefault(task.split, []).append(np.stack([rows.values[site.name] for site in frozen.sites], axis=1))
    return {split: np.concatenate(blocks) for split, blocks in parts.items()}


def explained(
    config: TrainConfig,
    source: BatchSource,
    held_out_NSD: Float32s,
    moments: Mapping[str, SiteMoments],
    progress: Progress,
) -> float:
    """Train on a source and return the explained variance on held-out float32 rows."""
    state = fitted(config, source, moments, title=f"training {config.dictionary}", progress=progress)
    return explained_by(state, MemoryStream(held_out_NSD, source.sites, batch_rows=4096, seed=0))


def main() -> None:
    """Run the benchmark and write `benchmarks/results/training_parity.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences")
    parser.add_argument("--model", default="examples/esm2-tiny")
    parser.add_argument("--seeds", type=int, default=2)
    add_look_only(parser)
    options = parser.parse_args()
    recording = Recording("training_parity", look_only=options.no_write)
    records: list[dict[str, Any]] = []
    for encoding in ("int8", "float16"):
        recipe = parse_recipe(
            {
                "model": {"name": options.model},
                "corpus": {"sequences": options.sequences},
                "sites": ["embed", "resid_post.*", "final_norm"],
                "store": {"encoding": encoding},
            },
            name="training parity",
        )
        with tempfile.TemporaryDirectory() as folder:
            records += measure(
                recipe, Path(folder), configs=DICTIONARIES, seeds=range(options.seeds), progress=terminal_progress()
            )
        print(json.dumps(records, indent=2))
    largest = max(abs(record["difference"]) for record in records)
    median = statistics.median(record["difference"] for record in records)
    recording.finish({"largest_difference": largest, "median_difference": median, "runs": records}, long=("runs",))


if __name__ == "__main__":
    main()
