"""Rows made of known sparse directions, so that one can ask whether a dictionary finds them."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from actstore.contracts.planes import Float32s

__all__ = ["PlantedRows", "mean_max_cosine", "plant"]

_BLOCK_ROWS: Final = 16_384
_FREQUENCY_SPREAD: Final = 1.0
_NOISE: Final = 0.05


class PlantedRows(NamedTuple):
    """Rows and the directions they are made of."""

    values_ND: Float32s
    direction_FD: Float32s
    """Unit directions."""


def plant(*, rows: int, width: int, directions: int, active: int, seed: int) -> PlantedRows:
    """Make rows that are each a sum of `active` directions, a common mean and a little noise.

    How often a direction is used differs: frequencies are log-normal with spread 1. Weights are uniform in [0.5, 1.5),
    the noise of a row has a norm of about 0.05, and the mean one of about 1.

    Examples
    --------
    >>> made = plant(rows=10, width=8, directions=20, active=3, seed=0)
    >>> made.values_ND.shape, made.direction_FD.shape
    ((10, 8), (20, 8))
    """
    rng = np.random.default_rng([seed, width, directions, active])
    direction_FD = rng.standard_normal((directions, width), dtype=np.float32)
    direction_FD /= np.linalg.norm(direction_FD, axis=1, keepdims=True)
    mean_D = rng.standard_normal(width, dtype=np.float32) / np.float32(np.sqrt(width))
    log_frequency_F = _FREQUENCY_SPREAD * rng.standard_normal(directions)
    blocks = []
    for start in range(0, rows, _BLOCK_ROWS):
        count = min(_BLOCK_ROWS, rows - start)
        # The largest of log-frequency plus Gumbel noise: a draw without replacement by frequency.
        key_NF = log_frequency_F + rng.gumbel(size=(count, directions))
        chosen_NK = np.argpartition(-key_NF, active - 1, axis=1)[:, :active]
        code_NF = np.zeros((count, directions), dtype=np.float32)
        weight_NK = rng.uniform(0.5, 1.5, size=(count, active)).astype(np.float32)
        np.put_along_axis(code_NF, chosen_NK, weight_NK, axis=1)
        noise_ND = _NOISE / np.sqrt(width) * rng.standard_normal((count, width))
        blocks.append((code_NF @ direction_FD + mean_D + noise_ND).astype(np.float32))
    return PlantedRows(np.concatenate(blocks), direction_FD)


def mean_max_cosine(truth_FD: Float32s, found_FD: Float32s) -> float:
    """Return the cosine of each true direction with its nearest found one, on average.

    Examples
    --------
    >>> mean_max_cosine(np.eye(2, dtype=np.float32), np.array([[3, 0]], dtype=np.float32))
    0.5
    """
    unit_FD = found_FD / np.linalg.norm(found_FD, axis=1, keepdims=True)
    return float((truth_FD @ unit_FD.T).max(axis=1).mean())
