from __future__ import annotations

import numpy as np

from actstore.contracts.windows import RowBuffer
from actstore.quantize.table import QUANTIZERS
from actstore.stream.gather import NumpyGather


def test_rows_come_in_the_order_in_which_they_were_asked_for() -> None:
    buffer = RowBuffer.allocate(8, 2, 3, np.dtype("<f2"), scaled=False)
    buffer.values_NSD[:] = np.arange(48).reshape(8, 2, 3)
    batch_BSD = NumpyGather(QUANTIZERS["float16"], None)(buffer, np.array([5, 0, 5]))
    np.testing.assert_array_equal(batch_BSD, buffer.values_NSD[[5, 0, 5]].astype(np.float32))
