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

__all__ = ["Evaluation", "Score", "ScoredRows", "evaluate", "evaluate_together"]


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


class Evaluation:
    """Scores of a dictionary that add up over batches.

    Parameters
    ----------
    dictionary
        What is scored; it is in evaluation mode for each batch only.
    scale_S
        Input scale of each site, float32, on the device of the dictionary.
    written
        Names of the sites that are reconstructed.
    transform
        What is done to each row before it is encoded.
    """

    def __init__(
        self, dictionary: Dictionary, *, scale_S: Tensor, written: Sequence[str], transform: RowTransform = "none"
    ) -> None:
        self._dictionary, self._scale_S, self._written = dictionary, scale_S, tuple(written)
        self._transform: RowTransform = transform
        self._variance, self._use = ExplainedVariance(), LatentUse(dictionary.shape.latents)
        self._rows = 0

    @torch.no_grad()
    def add(self, values_BSD: Tensor) -> None:
        """Add a batch of raw rows, float32 [B, S, D]."""
        was_training = self._dictionary.training
        self._dictionary.eval()
        rows = prepare_rows(values_BSD.to(self._scale_S.device), scale_S=self._scale_S, transform=self._transform)
        output, targets = self._dictionary(rows.inputs_BSD), self._dictionary.targets
        self._variance.add(targets(rows.scaled_BSD), rows.undo(output.reconstruction_BSD, targets))
        self._use.add(output.fired_F, rows=len(values_BSD))
        self._rows += len(values_BSD)
        self._dictionary.train(was_training)

    @property
    def fired_F(self) -> Tensor:
        """Rows on which each latent was active, int64."""
        return self._use.fired_F

    def score(self) -> Score:
        """Return the scores so far; raises as `ExplainedVariance.overall`."""
        return Score(
            rows=self._rows,
            explained_variance=self._variance.overall(),
            explained_variance_per_site=dict(zip(self._written, self._variance.per_site(), strict=True)),
            l0=self._use.l0,
            silent_fraction=self._use.silent_fraction,
        )


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
    evaluation = Evaluation(dictionary, scale_S=scale_S, written=written or source.sites, transform=transform)
    evaluate_together([evaluation], source, max_rows=max_rows, progress=progress)
    return evaluation.score()


def evaluate_together(
    evaluations: Sequence[Evaluation], source: ScoredRows, *, max_rows: int, progress: Progress
) -> None:
    """Add the next rows of `source` to several evaluations, at most `max_rows` and at most one epoch."""
    seen = 0
    with progress.stage("evaluating", total=min(max_rows, source.rows), unit="rows") as stage:
        for batch in source:
            values_BSD = torch.as_tensor(batch.values_BSD[: max_rows - seen])
            for evaluation in evaluations:
                evaluation.add(values_BSD)
            seen += len(values_BSD)
            stage.advance(len(values_BSD))
            if seen == max_rows:
                break
