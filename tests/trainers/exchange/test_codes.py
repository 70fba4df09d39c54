"""Codes are checked before they are decoded."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.made import LATENTS, draw, made, rows_of
from trainers.exchange.codes import SparseCode, own_code

INDEX_BK, VALUE_BK = torch.tensor([[1, 4], [0, 7]]), draw(2, 2)
LIKE = torch.zeros(1)


def test_codes_come_in_the_number_format_of_the_weights() -> None:
    dense = own_code(draw(3, LATENTS).half().numpy(), LATENTS, like=LIKE)
    assert isinstance(dense, torch.Tensor)
    assert dense.dtype == torch.float32
    sparse = own_code(SparseCode(INDEX_BK.int().numpy(), VALUE_BK.double()), LATENTS, like=LIKE)
    assert isinstance(sparse, SparseCode)
    assert (sparse.index_BK.dtype, sparse.value_BK.dtype) == (torch.int64, torch.float32)
    assert torch.equal(sparse.index_BK, INDEX_BK)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ((INDEX_BK, VALUE_BK), r"a tuple of 2 is no code; .*trainers\.SparseCode\(index, value\)"),
        ([INDEX_BK, VALUE_BK], r"a code of shape \[2, 2, 2\]; this dictionary has \[rows, 20\]"),
        (None, r"None cannot be read as numbers; give a dense code \[rows, 20\], or a trainers\.SparseCode"),
        ("code", "this str cannot be read as numbers"),
        ([[1.0], [1.0, 2.0]], "this list cannot be read as numbers"),
        (draw(2, LATENTS).to(torch.complex64), r"codes are real numbers, not torch\.complex64"),
        (SparseCode(None, VALUE_BK), "the latents of a sparse code: None cannot be read as numbers"),
        (SparseCode(INDEX_BK.float(), VALUE_BK), r"are whole numbers, not torch\.float32"),
        (SparseCode(INDEX_BK, VALUE_BK[:1]), r"latents \[2, 2\] and activations \[1, 2\]; both are \[rows, K\]"),
        (SparseCode(INDEX_BK + LATENTS, VALUE_BK), "names latents outside of 0 to 19"),
    ],
)
def test_what_is_no_code_is_refused(code: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        made().decode(code)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e300])
def test_codes_that_are_not_finite_are_refused(value: float) -> None:
    dictionary = made()
    sparse = dictionary.encode(rows_of(1), sparse=True)
    dense_BF, value_BK = dictionary.encode(rows_of(1)).double(), sparse.value_BK.double()
    dense_BF[3, 2] = value_BK[3, 1] = value
    codes: list[Any] = [dense_BF, dense_BF.numpy(), SparseCode(sparse.index_BK, value_BK)]
    for code in codes:
        with pytest.raises(errors.NumericsError, match=r"the code holds NaN or Inf, or numbers beyond torch\.float32"):
            dictionary.decode(code)
