import numpy as np
import pytest

from benchmarks.contestants.contract import site_name
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.data.synthetic_stores import SyntheticModel


def test_the_model_gives_the_rows_of_the_protein_that_it_is_shown() -> None:
    activations = SyntheticActivations(rows=300, sites=2, width=8, proteins=4)
    model = SyntheticModel(activations)
    kept = [np.array([0, 5], dtype=np.int32), np.array([1], dtype=np.int32)]
    rows = model.activations([model.residues[2], model.residues[0]], kept)
    np.testing.assert_array_equal(rows[site_name(1)][:2], activations.protein(1, 2)[[0, 5]])
    np.testing.assert_array_equal(rows[site_name(1)][2], activations.protein(1, 0)[1])


def test_proteins_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="same letters"):
        SyntheticModel(SyntheticActivations(rows=100, sites=1, width=4, proteins=100))
