"""Rows out of nothing, the same every time."""

import numpy as np

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.testing.fake_reader import FakeReader


def test_values_use_the_levels_of_their_encoding_and_differ_between_sites() -> None:
    for scaled in (True, False):
        reader = FakeReader({0: 200}, task_rows=200, sites=["embed", "final_norm"], width=8, scaled=scaled)
        buffer = RowBuffer.allocate(200, 2, 8, reader.dtype, scaled=scaled)
        reader.read(RowWindow(0, 0, 200), buffer)
        values_NSD = buffer.values_NSD.astype(np.float64)
        assert np.isfinite(values_NSD).all()
        assert np.abs(values_NSD).max() <= (127 if scaled else 2)
        assert len(np.unique(values_NSD.reshape(-1, 8), axis=0)) == 400
        if buffer.scale_NS is not None:
            assert 0.5 < buffer.scale_NS.min() < buffer.scale_NS.max() < 2


def test_it_remembers_that_it_was_closed() -> None:
    reader = FakeReader({0: 1}, task_rows=1, sites=["embed"], width=1)
    assert not reader.closed
    reader.close()
    assert reader.closed
