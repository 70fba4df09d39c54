"""Rows come in any floating-point type, and results go back in the same kind."""

from typing import Any

import numpy as np
import pytest
import torch

from actstore import errors
from trainers.exchange.rows import like, raw_rows, row_statistics


def test_rows_take_number_format_and_device_of_the_weights() -> None:
    rows = raw_rows(np.ones((4, 3), dtype=np.float16), ["a"], 3, like=torch.zeros(1, dtype=torch.float64))
    assert rows.shape == (4, 3)
    assert rows.values_BSD.shape == (4, 1, 3)
    assert rows.values_BSD.dtype == torch.float64


def test_a_gradient_flows_through() -> None:
    values = torch.ones(4, 3, requires_grad=True)
    raw_rows(values, ["a"], 3, like=torch.zeros(1)).values_BSD.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None


def test_a_result_for_numpy_has_no_gradient() -> None:
    assert isinstance(like(torch.ones(2, requires_grad=True), np.ones(1, np.float32)), np.ndarray)


def test_no_transform_takes_nothing_from_a_row() -> None:
    assert row_statistics(torch.ones(2, 1, 3), "none") is None


def test_a_row_of_zeros_stays_zero() -> None:
    statistics = row_statistics(torch.zeros(2, 1, 3), "row-sqrt-d")
    assert statistics is not None
    assert bool(torch.isfinite(torch.zeros(2, 1, 3) / statistics.scale_BS1).all())


@pytest.mark.parametrize("values", [None, "rows", [[1.0], [1.0, 2.0]], object()])
def test_what_is_no_array_is_refused(values: Any) -> None:
    with pytest.raises(errors.UsageError, match=r"rows: .* cannot be read as numbers; give a tensor .*\[rows, 1, 3\]"):
        raw_rows(values, ["a"], 3, like=torch.zeros(1))
