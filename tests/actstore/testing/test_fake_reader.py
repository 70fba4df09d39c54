"""Rows out of nothing, the same every time."""

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.testing.fake_reader import FakeReader


@pytest.mark.parametrize("scaled", [True, False])
def test_values_use_the_levels_of_their_encoding_and_differ_between_rows_and_sites(scaled: bool) -> None:
    reader = FakeReader({0: 200}, task_rows=200, sites=["embed", "final_norm"], width=8, scaled=scaled)
    buffer = RowBuffer.allocate(200, reader.layout)
    reader.read(RowWindow(0, 0, 200), buffer)
    values = np.concatenate([site.astype(np.float64) for site in buffer.values])
    assert np.isfinite(values).all()
    assert 1 < np.abs(values).max() <= (127 if scaled else 2)
    assert len(np.unique(values, axis=0)) == 400
    assert (buffer.scale_RTG is not None) == scaled
    if buffer.scale_RTG is not None:
        assert 0.5 < buffer.scale_RTG.min() < buffer.scale_RTG.max() < 2


def test_rows_follow_from_their_number_alone() -> None:
    """Whatever tasks there are beside theirs, and however long they are."""
    one = FakeReader({2: 40}, task_rows=50, sites=["embed"], width=4)
    other = FakeReader({0: 50, 2: 10}, task_rows=50, sites=["embed"], width=4)
    buffers = [RowBuffer.allocate(5, reader.layout) for reader in (one, other)]
    for reader, buffer in zip((one, other), buffers, strict=True):
        reader.read(RowWindow(2, 5, 10), buffer)
    assert buffers[0].values[0].tolist() == buffers[1].values[0].tolist()
    assert buffers[0].origin.sequence_R.tolist() == buffers[1].origin.sequence_R.tolist() == [6, 6, 6, 6, 6]


def test_it_remembers_that_it_was_closed() -> None:
    reader = FakeReader({0: 1}, task_rows=1, sites=["embed"], width=1)
    assert not reader.closed
    reader.close()
    assert reader.closed
