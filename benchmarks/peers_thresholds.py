"""BatchTopK, JumpReLU and Matryoshka with our defaults, beside those of other libraries, on the same rows.

Rows of block 3 of the shipped ESM-2 over natural proteins, F = 1,024, 16 latents a row: on average for BatchTopK and
Matryoshka, and the target of JumpReLU. All are scored by their thresholds, as they are used after training, so L0 is
shown. Order of rows, scores and what is dead are those of `benchmarks/peers.py`.

    python -m benchmarks.peers_thresholds proteins.fasta.gz --model examples/esm2-tiny
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from actstore.view.progress import terminal_progress
from benchmarks.contestants.learners import KINDS
from benchmarks.pages import markdown
from benchmarks.peers import EPOCHS, FULL, NATURAL, SEEDS, compare, natural, score_cells
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["main", "table"]


def table(results: Mapping[str, Any]) -> str:
    """Return a Markdown table: L0, explained variance and dead latents of each dictionary and library."""
    lines = [
        [
            kind,
            f"**{name}**" if name == "actstore" else name,
            markdown.spread_cell(scores["l0"], digits=1),
            *score_cells(scores),
        ]
        for kind, learners in results["scores"].items()
        for name, scores in learners.items()
    ]
    notes = f"Median of {results['seeds']} seeds (least to most); {results['epochs']} epochs."
    made = markdown.table(("dictionary", "", "L0", "explained variance, held out", "dead latents, %"), lines)
    return "\n\n".join([made, notes, markdown.machine_line(results)])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", help="FASTA of natural proteins")
    parser.add_argument("--model", default="examples/esm2-tiny")
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("peers_thresholds", look_only=asked.no_write, timed=False)
    progress = terminal_progress(quiet=False)
    [rows] = [
        data for data in natural(asked.sequences, asked.model, FULL, progress=progress) if data.name == NATURAL[0]
    ]
    scores = {
        kind: compare([rows], kind=kind, seeds=SEEDS, progress=progress)[rows.name] for kind in KINDS if kind != "topk"
    }
    recording.finish({"seeds": len(SEEDS), "epochs": EPOCHS, "scores": scores})


if __name__ == "__main__":
    main()
