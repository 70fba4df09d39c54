"""Sums of the same rows bound each other; stores with other sums are in `tests/hostile/test_lies.py`."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.quantize.measure import measure
from actstore.quantize.table import QUANTIZERS
from actstore.store.write.statistic_bounds import contradictions, statistic_problem


def statistics(values_ND: NDArray[np.float32], encoding: str) -> dict[str, NDArray[Any]]:
    quantizer = QUANTIZERS[encoding]
    found = measure(values_ND, quantizer.encode(values_ND), quantizer, None)
    return {
        "count": np.array([found.moments.count]),
        "norm_sum": np.array([found.norm_sum]),
        "saturated": np.array([0]),
        "mean": found.moments.mean_D[None],
        "m2": found.moments.m2_D[None],
        "max_abs": found.max_abs_D[None].astype(np.float32),
        "noise": found.noise_D[None],
    }


def found(arrays: dict[str, NDArray[Any]], encoding: str) -> list[str]:
    width = arrays["mean"].shape[1]
    quantizer = QUANTIZERS[encoding]
    return [name for name, _ in contradictions(arrays, 0, width=width, quantizer=quantizer, channel_D=None)]


@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 300),
    scale=st.sampled_from([1e-6, 1e-2, 1.0, 300.0]),
    offset=st.sampled_from([0.0, 1.0, 1000.0]),
    encoding=st.sampled_from(["float16", "bfloat16"]),
)
def test_statistics_of_rows_never_contradict_each_other(
    seed: int, rows: int, scale: float, offset: float, encoding: str
) -> None:
    values_ND = (np.random.default_rng(seed).standard_normal((rows, 5)) * scale + offset).astype(np.float32)
    values_ND[:, 4] = 0
    arrays = statistics(values_ND, encoding)
    assert found(arrays, encoding) == []
    for name, values in arrays.items():
        assert statistic_problem(name, values, rows=rows, width=5) is None


@pytest.mark.parametrize(
    ("name", "factor", "blamed"),
    [("mean", 50.0, "mean"), ("m2", 1e6, "m2"), ("max_abs", 100.0, "max_abs"), ("norm_sum", 3.0, "norm_sum")],
)
def test_a_sum_that_the_others_do_not_allow_is_blamed(name: str, factor: float, blamed: str) -> None:
    values_ND = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32) + 1
    arrays = statistics(values_ND, "float16")
    arrays[name] = arrays[name] * factor
    assert found(arrays, "float16") == [blamed]


def test_noise_beyond_the_encoding_and_clamping_without_a_limit_are_blamed() -> None:
    values_ND = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    arrays = statistics(values_ND, "float16")
    assert found(arrays | {"noise": arrays["noise"] * 1000}, "float16") == ["noise"]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("count", 7, "not 8"),
        ("mean", np.nan, "NaN or Inf"),
        ("m2", np.inf, "NaN or Inf"),
        ("m2", -1.0, "less than 0"),
        ("mean", -1e39, "more than 3.403e+38"),
        ("saturated", 33, "more than 32"),
    ],
)
def test_a_number_that_no_rows_have_is_a_problem(name: str, value: float, problem: str) -> None:
    assert statistic_problem(name, np.array([value]), rows=8, width=4) == problem
