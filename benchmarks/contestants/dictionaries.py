"""What quantisation does to sparse autoencoders: to training on encoded rows, and to the features of a trained one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress, Silent
from actstore.testing.memory_stream import MemoryMoments, MemoryStream
from trainers.fit.config import TrainConfig
from trainers.fit.initialise import start
from trainers.fit.loop import train
from trainers.fit.normalise import SiteMoments, describe_inputs
from trainers.fit.plan import StreamFacts, plan_training
from trainers.fit.source import BatchSource
from trainers.fit.state import TrainState
from trainers.score.evaluate import evaluate

__all__ = ["SURVIVES", "Survival", "coded", "explained_by", "explained_variance", "fitted", "survival", "trained"]

SURVIVES: Final = 0.9
"""Jaccard index from which on the active set of a feature counts as kept."""
_SITES: Final = ("site",)
_BLOCK_ROWS: Final = 4096


class Survival(NamedTuple):
    """How many features are active on the same rows as before.

    The Jaccard index of a feature is the number of rows on which it is active both before and after, over the number
    on which it is active before or after.
    """

    least_rows: int
    """Features active on fewer rows, before and after together, are left out."""
    features: int
    """Features that are left."""
    share: float
    """Share of them with a Jaccard index of at least `SURVIVES`."""
    median_jaccard: float
    activations: float
    """Jaccard index of all their activations together: every pair of feature and row counts once."""


def trained(
    config: TrainConfig, values_ND: Float32s, moments: MemoryMoments, *, title: str, progress: Progress
) -> TrainState:
    """Train on rows in memory.

    Initial weights, input scale and order of rows depend on the config and `moments` alone: two runs on two encodings
    of the same rows differ in nothing but the values of the rows.
    """
    source = MemoryStream(values_ND[:, None], _SITES, batch_rows=config.batch_rows, seed=config.seed)
    return fitted(config, source, {_SITES[0]: moments}, title=title, progress=progress)


def fitted(
    config: TrainConfig, source: BatchSource, moments: Mapping[str, SiteMoments], *, title: str, progress: Progress
) -> TrainState:
    """Train on a source to the end of its plan, on the CPU."""
    plan = plan_training(config, StreamFacts.of(source))
    inputs = describe_inputs(plan.sites, moments, normalisation=plan.normalisation)
    state = start(plan, inputs, device=torch.device("cpu"))
    with progress.stage(title, total=plan.steps, unit="steps") as stage:
        for _ in train(state, source, plan):
            stage.advance(1)
    return state


def explained_variance(state: TrainState, values_ND: Float32s) -> float:
    """Return the explained variance of a dictionary on rows of its one site."""
    return explained_by(state, MemoryStream(values_ND[:, None], _SITES, batch_rows=_BLOCK_ROWS))


def explained_by(state: TrainState, rows: MemoryStream) -> float:
    """Return the explained variance of a dictionary on all rows of a stream."""
    score = evaluate(state.dictionary, rows, scale_S=state.scale_S, max_rows=rows.rows, progress=Silent())
    assert score.explained_variance is not None
    return score.explained_variance


@torch.no_grad()
def coded(state: TrainState, values_ND: Float32s) -> Tensor:
    """Return the activation of every feature on every row, float32 [N, F]."""
    blocks = (values_ND[start : start + _BLOCK_ROWS, None] for start in range(0, len(values_ND), _BLOCK_ROWS))
    return torch.cat([state.dictionary.encode(torch.from_numpy(each) * state.scale_S[:, None]) for each in blocks])


def survival(code_NF: Tensor, encoded_NF: Tensor, *, least_rows: int) -> Survival:
    """Compare on which rows each feature is active before and after encoding.

    Parameters
    ----------
    code_NF
        Activations of the features on some rows.
    encoded_NF
        Activations on the same rows after encoding and decoding.
    least_rows
        Rows on which a feature has to be active to be counted.

    Raises
    ------
    ValueError
        If no feature is.
    """
    before_NF, after_NF = code_NF > 0, encoded_NF > 0
    both_F = torch.count_nonzero(before_NF & after_NF, dim=0).numpy()
    either_F = torch.count_nonzero(before_NF | after_NF, dim=0).numpy()
    counted_F = either_F >= max(least_rows, 1)
    both_F, either_F = both_F[counted_F], either_F[counted_F]
    if not len(either_F):
        raise ValueError(f"no feature is active on {least_rows} of {len(code_NF):,} rows")
    jaccard_F = both_F / either_F
    return Survival(
        least_rows,
        features=len(jaccard_F),
        share=float(np.mean(jaccard_F >= SURVIVES)),
        median_jaccard=float(np.median(jaccard_F)),
        activations=float(both_F.sum() / either_F.sum()),
    )
