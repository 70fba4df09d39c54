import numpy as np
import pytest

from benchmarks.data.synthetic import OUTLIER_SCALE, OUTLIERS, SyntheticActivations

SMALL = SyntheticActivations(rows=3000, sites=2, width=64, proteins=20)


def test_rows_of_a_protein_are_contiguous_and_add_up() -> None:
    full = SyntheticActivations()
    assert full.rows_of_protein.sum() == len(full.sequence_N) == 200_000
    assert full.rows_of_protein.min() >= 1
    assert full.rows_of_protein.max() <= 1022
    assert (np.diff(full.sequence_N) >= 0).all()
    assert (np.bincount(full.sequence_N) == full.rows_of_protein).all()


def test_any_block_is_that_part_of_the_site() -> None:
    site_ND = SMALL.site(1)
    assert site_ND.dtype == np.float32
    assert site_ND.shape == (3000, 64)
    for start, stop in ((0, 1), (0, 3000), (149, 151), (1234, 2345), (2999, 3000)):
        np.testing.assert_array_equal(SMALL.block(1, start, stop), site_ND[start:stop])


def test_a_seed_is_a_model_and_sites_differ() -> None:
    again = SyntheticActivations(rows=3000, sites=2, width=64, proteins=20)
    other = SyntheticActivations(rows=3000, sites=2, width=64, proteins=20, seed=1)
    np.testing.assert_array_equal(SMALL.block(0, 10, 20), again.block(0, 10, 20))
    assert (SMALL.block(0, 10, 20) != other.block(0, 10, 20)).any()
    assert (SMALL.block(0, 10, 20) != SMALL.block(1, 10, 20)).any()


def test_four_channels_are_fifty_times_the_rest_and_float16_holds_them() -> None:
    wide = SyntheticActivations(rows=4000, sites=1, width=1024, proteins=14)
    site_ND = wide.site(0)
    deviation_D = site_ND.std(axis=0)
    assert np.abs(site_ND).max() < 10_000
    loud = np.argsort(deviation_D)[-OUTLIERS:]
    assert sorted(loud) == list(wide.outliers(0))
    ratio = np.median(deviation_D[loud]) / np.median(deviation_D)
    assert OUTLIER_SCALE / 3 < ratio < OUTLIER_SCALE * 3


def test_rows_of_a_protein_resemble_each_other() -> None:
    site_ND = SMALL.site(0)
    site_ND = (site_ND - site_ND.mean(axis=0)) / site_ND.std(axis=0)
    means = np.stack([site_ND[SMALL.sequence_N == protein].mean(axis=0) for protein in range(20)])
    assert np.square(means).mean() > 0.2


def test_impossible_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 .. 5 \(rows\)"):
        SyntheticActivations(rows=5, proteins=6)
    with pytest.raises(ValueError, match="rows 10 to 3001 of 3000"):
        SMALL.block(0, 10, 3001)
    with pytest.raises(ValueError, match="site 2 of 2"):
        SMALL.protein(2, 0)
