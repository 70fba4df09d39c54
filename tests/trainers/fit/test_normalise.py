import math
from dataclasses import replace

import numpy as np
import pytest

from actstore import errors
from actstore.testing.memory_stream import MemoryMoments, moments_of
from tests.trainers.planted import Planted
from trainers.fit.normalise import describe_inputs, site_scale


def test_unit_brings_the_mean_square_norm_to_one(three_sites: Planted) -> None:
    moments = moments_of(three_sites.values_NSD, three_sites.sites)
    inputs = describe_inputs(three_sites.sites, moments, normalisation="unit")
    scaled_NSD = three_sites.values_NSD.astype(np.float64) * inputs.scale_S[:, None]
    np.testing.assert_allclose((scaled_NSD**2).sum(axis=2).mean(axis=0), 1.0, rtol=1e-6)
    np.testing.assert_allclose(inputs.mean_SD, scaled_NSD.mean(axis=0), rtol=1e-6, atol=1e-9)
    assert inputs.variance == pytest.approx(scaled_NSD.var(axis=0).sum(), rel=1e-6)


def test_sqrt_d_brings_the_mean_norm_to_the_root_of_the_width(three_sites: Planted) -> None:
    moments = moments_of(three_sites.values_NSD, three_sites.sites)
    inputs = describe_inputs(three_sites.sites, moments, normalisation="sqrt_d")
    norm_NS = np.linalg.norm(three_sites.values_NSD * inputs.scale_S[:, None], axis=2)
    np.testing.assert_allclose(norm_NS.mean(axis=0), math.sqrt(32), rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, math.nan, math.inf])
@pytest.mark.parametrize("normalisation", ["unit", "sqrt_d"])
def test_statistics_without_a_scale_are_refused(size: float, normalisation: str, one_site: Planted) -> None:
    moments = replace(MemoryMoments.of(one_site.values_NSD[:, 0]), mean_norm=size, mean_square_norm=size)
    with pytest.raises(errors.TrainingError, match=r"site embed: the mean norm of its rows is"):
        site_scale("embed", moments, normalisation=normalisation)  # type: ignore[arg-type]


def test_rows_that_do_not_vary_are_refused() -> None:
    moments = moments_of(np.ones((10, 1, 4), dtype=np.float32), ["embed"])
    with pytest.raises(errors.TrainingError, match="variance 0"):
        describe_inputs(["embed"], moments, normalisation="unit")


def test_a_site_without_statistics_is_refused(one_site: Planted) -> None:
    moments = moments_of(one_site.values_NSD, one_site.sites)
    with pytest.raises(errors.TrainingError, match="no statistics for final_norm; the manifest has resid_post"):
        describe_inputs(["final_norm"], moments, normalisation="unit")


def test_statistics_whose_scale_is_beyond_float32_are_refused(one_site: Planted) -> None:
    """A scale of 0.0 would make every row zero."""
    moments = replace(MemoryMoments.of(one_site.values_NSD[:, 0]), mean_square_norm=1e80)
    with pytest.raises(errors.TrainingError, match="beyond float32; check the store with 'actstore verify'"):
        site_scale("embed", moments, normalisation="unit")
