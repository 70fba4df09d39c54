from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.quantize.int8 import calibrate
from actstore.quantize.moments import Moments
from actstore.testing.fake_model import FakeModel
from benchmarks.data.site_rows import PartSizes, deal, natural_rows, synthetic_rows
from benchmarks.data.synthetic import SyntheticActivations

SIZES = PartSizes(calibration_proteins=4, held_out_rows=100, train_rows=300)


def test_no_protein_is_in_two_parts_and_parts_reach_their_rows() -> None:
    rows_P = np.random.default_rng(1).integers(1, 60, 40)
    parts = deal(rows_P, SIZES)
    dealt = np.concatenate(parts)
    assert len(np.unique(dealt)) == len(dealt)
    assert len(parts.calibration) == 4
    for part, wanted in ((parts.held_out, 100), (parts.train, 300)):
        assert rows_P[part].sum() >= wanted > rows_P[part[:-1]].sum()


def test_too_few_proteins_are_refused() -> None:
    with pytest.raises(ValueError, match="5 proteins with 50 residues are too few"):
        deal(np.full(5, 10), SIZES)
    with pytest.raises(ValueError, match="are too few for 4 to calibrate on, 100 residues to hold out and 300"):
        deal(np.full(4, 1000), SIZES)
    assert not len(deal(np.full(5, 1000), SIZES._replace(train_rows=0)).train)


def test_synthetic_rows_are_calibrated_on_other_proteins() -> None:
    activations = SyntheticActivations(rows=1500, sites=1, width=16, proteins=30)
    rows = synthetic_rows("some", activations, SIZES, progress=Silent())
    parts = deal(activations.rows_of_protein, SIZES)

    def made(proteins: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Float32s:
        return np.concatenate([activations.protein(0, protein) for protein in proteins.tolist()])

    sample = Moments.of(made(parts.calibration))
    np.testing.assert_allclose(rows.calibration.center_D, calibrate(sample.mean_D, sample.variance_D).center_D, 1e-5)
    np.testing.assert_array_equal(rows.held_out_ND, made(parts.held_out))
    assert rows.train_ND is not None
    np.testing.assert_array_equal(rows.train_ND, made(parts.train))


def test_natural_rows_are_those_of_the_model_at_every_site(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    proteins = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in rng.integers(5, 60, 40)]
    proteins[7] = "M" * 1100
    fasta = tmp_path / "some.fasta"
    fasta.write_text("".join(f">p{index}\n{protein}\n" for index, protein in enumerate(proteins)))
    model = FakeModel(sites=("embed", "final_norm"), width=8)
    sites = list(natural_rows("natural", str(fasta), model, SIZES, train_sites=["final_norm"], progress=Silent()))
    assert [(rows.site, rows.train_ND is None) for rows in sites] == [("embed", True), ("final_norm", False)]

    windows = [protein[:1022] for protein in proteins]
    parts = deal(np.array([len(window) for window in windows]), SIZES)

    def ran(proteins: np.ndarray[tuple[int], np.dtype[np.int64]], site: str) -> Float32s:
        chosen = [windows[protein] for protein in proteins]
        return model.activations(chosen, [np.arange(len(each), dtype=np.int32) for each in chosen])[site]

    for rows in sites:
        np.testing.assert_array_equal(rows.held_out_ND, ran(parts.held_out, rows.site))
        np.testing.assert_allclose(
            rows.calibration.center_D, ran(parts.calibration, rows.site).mean(axis=0), rtol=1e-4, atol=1e-4
        )
    np.testing.assert_array_equal(sites[1].train_ND, ran(parts.train, "final_norm"))
