from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from benchmarks.contestants.files import BlockFiller


def test_a_block_across_the_border_of_a_fill_goes_to_both() -> None:
    def blocks(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start, stop in ((0, 3), (3, 10), (10, 11)):
            row_R = torch.arange(start, stop)
            yield (row_R + epoch).half()[:, None].expand(-1, 2), row_R

    filler = BlockFiller(11, {"blocks": blocks})
    for epoch in range(2):
        filler.begin(epoch)
        values_GRX, row_R = np.empty((1, 4, 2), dtype=np.float16), np.empty(4, dtype=np.int64)
        seen: list[int] = []
        while count := filler.fill(values_GRX, row_R):
            assert (values_GRX[0, :count] == row_R[:count, None] + epoch).all()
            assert count == 4 or len(seen) + count == 11
            seen += row_R[:count].tolist()
        assert seen == list(range(11))
