from __future__ import annotations

from pathlib import Path

import pytest

from actstore.contracts.progress import Silent
from actstore.workflows.recipes import parse_recipe
from benchmarks.training_parity import DICTIONARIES, measure


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_training_from_a_store_explains_what_training_on_floats_in_memory_explains(
    encoding: str, natural_fasta: Path, esm2_tiny: Path, tmp_path: Path
) -> None:
    recipe = parse_recipe(
        {
            "model": {"name": str(esm2_tiny)},
            "corpus": {"sequences": str(natural_fasta), "max_residues": 120},
            "sites": ["embed", "resid_post.*", "final_norm"],
            "store": {"encoding": encoding, "task_rows": 4096},
        },
        name="the test",
    )
    for record in measure(recipe, tmp_path, configs=DICTIONARIES, seeds=[0], progress=Silent()):
        assert record["explained_variance_memory"] > 0.8
        assert record["difference"] == pytest.approx(0, abs=0.01)
