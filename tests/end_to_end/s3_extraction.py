"""One small extraction: what every run of it, wherever it writes and whatever happens, has to come to.

python -m tests.end_to_end.s3_extraction URI FASTA OPTIONS    waits for a line on standard input, then extracts
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from actstore.access.open import open_objects
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.testing.proteins import FamilyShape, synthetic_proteins, write_fasta
from actstore.view.reports import ExtractReport
from actstore.workflows.extract import extract_with

__all__ = ["STORE", "extract", "main", "small_fasta"]

STORE: Final = "team/store"
"""Where the tests put it in a bucket."""


def small_fasta(path: Path) -> Path:
    """Write two dozen proteins of 60 to 300 residues."""
    shape = FamilyShape(median_residues=150, min_residues=60, max_residues=300)
    write_fasta(path, synthetic_proteins(families=12, members=2, seed=4, shape=shape))
    return path


def extract(place: str, fasta: Path, storage_options: dict[str, Any] | None = None) -> ExtractReport:
    """Extract eight tasks of two sites in int8, 130 KB each."""
    recipe = Recipe.model_validate(
        {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(fasta)]},
            "splits": {"fractions": {"train": 0.8, "test": 0.2}},
            "store": {"encoding": "int8", "task_rows": 512, "chunk_rows": 64, "calibration_sequences": 8},
        }
    )
    model = FakeModel(sites=["embed", "final_norm"], width=128)
    return extract_with(model, open_objects(place, storage_options), recipe, storage_options=storage_options)


def main() -> None:
    """Extract when told to, and print how many tasks were left to do."""
    place, fasta, options = sys.argv[1:]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    report = extract(place, Path(fasta), json.loads(options))
    sys.stdout.write(f"{report.tasks_total - report.tasks_before}\n")


if __name__ == "__main__":
    main()
