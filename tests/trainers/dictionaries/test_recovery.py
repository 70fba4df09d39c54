"""Rows made of known sparse directions: training finds them."""

from typing import Any

import pytest
import torch

from benchmarks.data.planted import PlantedRows, mean_max_cosine, plant
from tests.trainers.in_memory import stream_of, train_on

ACTIVE, LATENTS = 3, 128
CASES: dict[str, dict[str, Any]] = {
    "topk-sae": {"k": ACTIVE},
    "batch-topk-sae": {"k": ACTIVE},
    "matryoshka-sae": {"k": ACTIVE, "groups": (1 / 4, 1 / 4, 1 / 2)},
    "jumprelu-sae": {"l0_target": float(ACTIVE)},
}
"""A first group of only 8 latents spends a third of K on mixtures: docs/dictionaries/matryoshka-sae.md."""


@pytest.fixture(scope="module")
def rows() -> PlantedRows:
    return plant(rows=60_000, width=32, directions=64, active=ACTIVE, seed=0)


@pytest.mark.parametrize("name", CASES)
def test_planted_directions_are_found(name: str, rows: PlantedRows) -> None:
    stream = stream_of(rows.values_ND[:, None], batch_rows=512)
    state, steps = train_on(stream, dictionary=name, latents=LATENTS, steps=600, **CASES[name])
    decoder_FX = state.dictionary.flat().decoder_FX.detach().numpy()
    assert mean_max_cosine(rows.direction_FD, decoder_FX) >= 0.95
    with torch.no_grad():
        values_BSD = torch.from_numpy(rows.values_ND[:5000, None]) * state.scale_S[:, None]
        code_BF = state.dictionary.eval().encode(values_BSD)
    assert float((code_BF > 0).sum(dim=1).double().mean()) == pytest.approx(ACTIVE, rel=0.1)
    explained = steps[-1].report.batch_explained_variance
    assert explained is not None
    assert explained > 0.9
