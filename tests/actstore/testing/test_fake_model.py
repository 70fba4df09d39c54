from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from actstore.contracts.models import ActivationModel
from actstore.testing.conformance_model import MODEL_CHECKS
from actstore.testing.fake_model import OUTLIER_SCALE, FakeModel

PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ" * 20
FROZEN_ND = [[1.1122, 0.3535, -0.1827, -0.1695], [-1.1111, 1.0701, 0.5297, -0.5837]]
EVERYTHING = [np.arange(len(PROTEIN), dtype=np.int32)]


@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Callable[[ActivationModel], None]) -> None:
    check(FakeModel())


def test_it_is_the_same_everywhere() -> None:
    # Frozen values: tests that count on them would otherwise change with the machine or NumPy.
    model = FakeModel(sites=["embed"], width=4, outliers=0)
    values_ND = model.activations(["MK"], [np.array([0, 1], dtype=np.int32)])["embed"]
    np.testing.assert_allclose(values_ND, FROZEN_ND, rtol=0, atol=1e-4)


def test_another_seed_is_another_model() -> None:
    first, second = FakeModel(seed=1), FakeModel(seed=2)
    assert first.facts.weights_sha256 != second.facts.weights_sha256
    rows = [model.activations([PROTEIN], EVERYTHING)["embed"] for model in (first, second)]
    assert np.abs(rows[0] - rows[1]).max() > 0.1


def test_sites_differ() -> None:
    rows = FakeModel().activations([PROTEIN], EVERYTHING)
    assert np.abs(rows["embed"] - rows["final_norm"]).max() > 0.1


def test_a_few_channels_stand_out() -> None:
    values_ND = FakeModel(sites=["embed"], width=64, outliers=3).activations([PROTEIN], EVERYTHING)["embed"]
    spread_D = np.sort(values_ND.std(axis=0))
    assert spread_D[-3:].min() / np.median(spread_D) > OUTLIER_SCALE / 2
    assert spread_D[:-3].max() < 2


def test_rows_depend_on_the_left_context_and_not_on_the_right() -> None:
    last = [np.array([2], dtype=np.int32)]
    model = FakeModel()
    here = model.activations(["MKT"], last)["embed"]
    np.testing.assert_array_equal(model.activations(["MKTAAAA"], last)["embed"], here)
    assert not np.array_equal(model.activations(["MAT"], last)["embed"], here)
