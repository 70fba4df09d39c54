from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

Float32s = NDArray[np.float32]
ResidualStream = Callable[..., Float32s]


@pytest.fixture(scope="session")
def residual_stream() -> ResidualStream:
    """Return rows like those of a protein language model: outlier channels with offsets, rows of different norms."""

    def rows(count: int, width: int, *, outliers: int = 3, seed: int = 0) -> Float32s:
        rng = np.random.default_rng(seed)
        channel_D = np.exp(rng.normal(0, 0.3, width))
        offset_D = rng.normal(0, 1, width)
        outlier = rng.permutation(width)[:outliers]
        channel_D[outlier] *= 50
        offset_D[outlier] *= 50
        row_N1 = np.exp(rng.normal(0, 0.25, (count, 1)))
        return (offset_D + channel_D * row_N1 * rng.normal(size=(count, width))).astype(np.float32)

    return rows
