"""Rows made from a known sparse dictionary, so that a test can ask whether training finds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32s = NDArray[np.float32]


@dataclass(frozen=True)
class Planted:
    """Rows and the directions they are made of."""

    values_NSD: Float32s
    direction_FX: Float32s
    """Unit directions over X = S * D."""

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(f"resid_post.{s}" for s in range(self.values_NSD.shape[1]))


def plant(*, rows: int, sites: int = 1, width: int = 32, latents: int = 48, active: int = 3, seed: int = 0) -> Planted:
    """Return rows with a large common mean, each the sum of `active` of the directions with weights in [1, 2)."""
    rng = np.random.default_rng([seed, rows, sites, width])
    direction_FX = rng.standard_normal((latents, sites * width)).astype(np.float32)
    direction_FX /= np.linalg.norm(direction_FX, axis=1, keepdims=True)
    code_NF = np.zeros((rows, latents), dtype=np.float32)
    chosen_NK = rng.permuted(np.tile(np.arange(latents), (rows, 1)), axis=1)[:, :active]
    np.put_along_axis(code_NF, chosen_NK, rng.uniform(1, 2, size=(rows, active)).astype(np.float32), axis=1)
    mean_X = rng.standard_normal(sites * width).astype(np.float32)
    values_NX = (100.0 * (code_NF @ direction_FX + 0.3 * mean_X)).astype(np.float32)
    return Planted(values_NX.reshape(rows, sites, width), direction_FX)


def plant_parts(*, rows: int, width: int = 32, latents: int = 16, active: int = 1, seed: int = 0) -> Planted:
    """Return rows of two sites, made of directions of both, of the first alone and of the second alone.

    There are `latents` of each sort, in this order, and each row has `active` of each. A direction of both is
    the same at each site, with half the square, so that all have norm 1.
    """
    rng = np.random.default_rng([seed, rows, width, latents])
    direction_FSD = rng.standard_normal((3 * latents, 2, width)).astype(np.float32)
    direction_FSD[latents : 2 * latents, 1] = 0
    direction_FSD[2 * latents :, 0] = 0
    direction_FSD[:latents, 1] = direction_FSD[:latents, 0]
    direction_FX = direction_FSD.reshape(3 * latents, -1)
    direction_FX /= np.linalg.norm(direction_FX, axis=1, keepdims=True)
    code_NF = np.zeros((rows, 3 * latents), dtype=np.float32)
    for part in range(3):
        chosen_NK = rng.permuted(np.tile(np.arange(latents), (rows, 1)), axis=1)[:, :active] + part * latents
        np.put_along_axis(code_NF, chosen_NK, rng.uniform(1, 2, size=(rows, active)).astype(np.float32), axis=1)
    mean_X = rng.standard_normal(2 * width).astype(np.float32)
    values_NX = (100.0 * (code_NF @ direction_FX + 0.3 * mean_X)).astype(np.float32)
    return Planted(values_NX.reshape(rows, 2, width), direction_FX)


def mean_max_cosine(truth_FX: Float32s, found_FX: Float32s) -> float:
    """Return how well each true direction is matched by its best found one, on average."""
    unit_FX = found_FX / np.linalg.norm(found_FX, axis=1, keepdims=True)
    return float((truth_FX @ unit_FX.T).max(axis=1).mean())
