from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.data.proteins import read_proteins
from benchmarks.extract_gpu import CASES, Case, make_model, measure

TINY = {
    "esm": Case("tiny ESM-2", "esm", 2, 40, 20, dtype="float32", sites=("resid_post.*",), fraction=1.0, proteins=12),
    "t5": Case("tiny T5", "t5", 2, 32, 4, dtype="float32", sites=("resid_post.*",), fraction=0.5, proteins=12),
}


@pytest.mark.parametrize("family", TINY)
def test_every_contestant_runs_the_same_proteins(family: str, small_fasta: Path, tmp_path: Path) -> None:
    case, model = TINY[family], make_model(TINY[family], tmp_path / "model")
    proteins = read_proteins(str(small_fasta), case.proteins)
    found = measure(case, proteins, model, tmp_path, device="cpu", tokens=1024, rounds=1, compiled=False)
    assert found["residues"] == sum(len(residues) for _, residues in proteins)
    assert {"forward", "padded", "actstore", "naive_loop", "fair_esm_loop"} <= found["residues_per_s"].keys()
    assert all(0 < each["least"] <= each["most"] for each in found["residues_per_s"].values())
    ratio = found["ratios"]["over_padded"]["median"]
    rates = found["residues_per_s"]
    assert ratio == pytest.approx(rates["actstore"]["median"] / rates["padded"]["median"])
    assert 0 <= found["padding"]["forward"] < 0.5


def test_cases_are_of_the_families_that_are_made() -> None:
    assert {case.family for case in CASES} == TINY.keys()
