"""Buffers of rows."""

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer


@pytest.mark.parametrize(("scaled", "nbytes"), [(True, 10 * (2 * 3 + 2 * 2 + 16)), (False, 10 * (2 * 3 + 16))])
def test_a_buffer_has_the_memory_it_says(scaled: bool, nbytes: int) -> None:
    buffer = RowBuffer.allocate(10, 2, 3, np.dtype(np.int8), scaled=scaled)
    assert buffer.values_NSD.shape == (10, 2, 3)
    assert (buffer.scale_NS is not None) == scaled
    assert buffer.nbytes == nbytes


@pytest.mark.parametrize("scaled", [True, False])
def test_a_part_is_a_view(scaled: bool) -> None:
    buffer = RowBuffer.allocate(10, 2, 3, np.dtype(np.int8), scaled=scaled)
    buffer.row_N[:] = -1
    part = buffer.part(4, 7)
    part.row_N[:] = [4, 5, 6]
    part.values_NSD[:] = 1
    assert buffer.row_N.tolist() == [-1] * 4 + [4, 5, 6] + [-1] * 3
    assert (buffer.values_NSD[4:7] == 1).all()
    assert part.nbytes == buffer.nbytes // 10 * 3
