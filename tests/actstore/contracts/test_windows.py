"""Buffers of rows."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowLayout

LAYOUTS = {
    "float16": RowLayout(2, 3, np.dtype("<f2")),
    "int8 of four sites, two streamed": RowLayout(2, 3, np.dtype("i1"), scale_sites=4, scale_groups=1),
    "int4": RowLayout(1, 5, np.dtype("u1"), scale_sites=3, scale_groups=2),
}


def arrays(buffer: RowBuffer) -> list[NDArray[Any]]:
    return [*buffer.values, *([] if buffer.scale_RTG is None else [buffer.scale_RTG]), *buffer.origin]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_buffer_is_laid_out_as_asked(layout: RowLayout) -> None:
    buffer = RowBuffer.allocate(10, layout)
    assert len(buffer) == 10
    assert [values.shape for values in buffer.values] == [(10, layout.stored_width)] * layout.sites
    assert {values.dtype for values in buffer.values} == {layout.dtype}
    assert all(values.flags.c_contiguous for values in buffer.values), "reads go straight into the values of a site"
    if layout.scale_sites:
        assert buffer.scale_RTG is not None
        assert buffer.scale_RTG.shape == (10, layout.scale_sites, layout.scale_groups)
    else:
        assert buffer.scale_RTG is None


@pytest.mark.parametrize(
    ("layout", "row_bytes"),
    list(zip(LAYOUTS.values(), [2 * 3 * 2 + 14, 2 * 3 + 4 * 2 + 14, 5 + 3 * 2 * 2 + 14], strict=True)),
    ids=LAYOUTS,
)
def test_a_layout_knows_the_memory_of_a_row(layout: RowLayout, row_bytes: int) -> None:
    assert layout.row_bytes == row_bytes
    assert sum(array.nbytes for array in arrays(RowBuffer.allocate(10, layout))) == 10 * row_bytes


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_part_is_a_view(layout: RowLayout) -> None:
    buffer = RowBuffer.allocate(10, layout)
    for array in arrays(buffer):
        array[:] = 0
    part = buffer.part(4, 7)
    assert len(part) == 3
    for array in arrays(part):
        array[:] = 1
    for array in arrays(buffer):
        assert (array[4:7] == 1).all()
        assert not array[:4].any()
        assert not array[7:].any()
