"""What AuxK does to dead latents under each fixed normalisation, with one site and with six.

Our TopK dictionaries on rows of the shipped ESM-2 over natural proteins, F = 1,024, k = 16, with our defaults and with
AuxK turned off. Rows, scores and what is dead are those of `benchmarks/peers.py`.

    python -m benchmarks.auxk proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from actstore.contracts.progress import Progress
from actstore.view.progress import terminal_progress
from benchmarks.contestants.learners import Learner, Ours, Sizes
from benchmarks.pages import markdown
from benchmarks.peers import EPOCHS, FULL, NATURAL, SEEDS, SIX_BLOCKS, Data, natural, over_seeds, score_cells
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["main", "revive", "table"]

NORMALISATIONS: Final = ("unit", "sqrt_d", "none")


def revive(
    all_data: Sequence[Data], *, seeds: Sequence[int], epochs: int = EPOCHS, progress: Progress
) -> list[dict[str, Any]]:
    """Return our scores with and without AuxK, under each normalisation."""
    records = []
    for data in all_data:
        sizes = data.sizes(epochs)
        for normalisation, weight in itertools.product(NORMALISATIONS, (None, 0.0)):
            changes: dict[str, Any] = {"normalisation": normalisation}
            if weight is not None:
                changes["auxk_weight"] = weight

            def learner(
                seed: int, changes: dict[str, Any] = changes, sizes: Sizes = sizes, data: Data = data
            ) -> Learner:
                return Ours(sizes, data.train_NX, seed, **changes)

            title = f"{normalisation}, {'with' if weight is None else 'without'} AuxK"
            scores = over_seeds(title, learner, data, sizes, seeds=seeds, progress=progress)
            records.append(
                {"data": data.name, "sites": data.sites, "normalisation": normalisation, "auxk": weight is None}
                | scores
            )
    return records


def table(results: Mapping[str, Any]) -> str:
    """Return a Markdown table: explained variance and dead latents, with and without AuxK."""
    lines = [
        [
            record["data"],
            str(record["sites"]),
            record["normalisation"],
            "yes" if record["auxk"] else "no",
            *score_cells(record),
        ]
        for record in results["auxk"]
    ]
    heads = ("rows", "sites", "normalisation", "AuxK", "explained variance, held out", "dead latents, %")
    notes = f"Median of {results['seeds']} seeds (least to most); {results['epochs']} epochs."
    return "\n\n".join([markdown.table(heads, lines), notes, markdown.machine_line(results)])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--model", default="examples/esm2-tiny")
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("auxk", look_only=asked.no_write, timed=False)
    progress = terminal_progress(quiet=False)
    found = natural(asked.sequences, asked.model, FULL, progress=progress)
    chosen = [data for data in found if data.name in {NATURAL[0], SIX_BLOCKS}]
    records = revive(chosen, seeds=SEEDS, progress=progress)
    recording.finish({"seeds": len(SEEDS), "epochs": EPOCHS, "auxk": records})


if __name__ == "__main__":
    main()
