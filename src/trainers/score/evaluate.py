"""Score a dictionary on rows of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from actstore import Batch, Progress
from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.rows.transform import RowTransform, prepare_rows
from trainers.score.metrics import ExplainedVariance, LatentUse

__all__ = ["Score", "ScoredRows", "evaluate"]


class ScoredRows(Protocol):
    """Rows to score on: a stream, or rows in memory."""

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the S sites of a batch."""
        ...

    @property
    def rows(self) -> int:
        """Rows of one pass."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches."""
        ...


class Score(NamedTuple):
    """Scores of a dictionary on some rows."""

    rows: int
    explained_variance: float | None
    """1 - squared error / squared deviation of these rows from their mean, both summed over rows and sites in scaled
    units: each site has the same weight as in the objective. A transform of each row is undone first. None if the rows
    do not differ."""
    explained_variance_per_site: dict[str, float | None]
    l0: float
    silent_fraction: float
    """Share of latents that are active on none of these rows. Latents are called dead by the rows of training."""


@torch.no_grad()
def evaluate(
    dictionary: Dictionary,
    source: ScoredRows,
    *,
    scale_S: Tensor,
    max_rows: int,
    progress: Progress,
    written: Sequence[str] | None = None,
    transform: RowTransform = "none",
) -> Score:
    """Score on the next rows of `source`, at most `max_rows` and at most one epoch.

    Parameters
    ----------
    scale_S
        Input scale of each site, float32, on the device of the dictionary.
    written
        Names of the sites that are reconstructed; None for all of `source`.
    transform
        What is done to each row before it is encoded.
    """
    variance, use = ExplainedVariance(), LatentUse(dictionary.shape.latents)
    seen, was_training = 0, dictionary.training
    dictionary.eval()
    with progress.stage("evaluating", total=min(max_rows, source.rows), unit="rows") as stage:
        for batch in source:
            values_BSD = torch.as_tensor(batch.values_BSD[: max_rows - seen])
            rows = prepare_rows(values_BSD.to(scale_S.device), scale_S=scale_S, transform=transform)
            output = dictionary(rows.inputs_BSD)
            back_BSD = rows.undo(output.reconstruction_BSD, dictionary.targets)
            variance.add(dictionary.targets(rows.scaled_BSD), back_BSD)
            use.add(output.fired_F, rows=len(values_BSD))
            seen += len(values_BSD)
            stage.advance(len(values_BSD))
            if seen == max_rows:
                break
    dictionary.train(was_training)
    return Score(
        rows=seen,
        explained_variance=variance.overall(),
        explained_variance_per_site=dict(zip(written or source.sites, variance.per_site(), strict=True)),
        l0=use.l0,
        silent_fraction=use.silent_fraction,
    )
