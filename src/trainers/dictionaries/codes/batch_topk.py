"""Dictionaries that keep K latents a row on average: the B * K highest-ranked of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from trainers.dictionaries.codes.chosen_by_rank import Limit, batch_cutoff, ranked_code, ranked_pass
from trainers.dictionaries.codes.sparse import Pass, Scratch
from trainers.dictionaries.codes.topk import topk_code, topk_pass
from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, Shape
from trainers.dictionaries.ranks import global_topk_threshold, rank_count, rows_of_all

__all__ = ["THRESHOLD_DECAY", "BatchTopKDictionary"]

THRESHOLD_DECAY: Final = 0.99
"""A mean over about the last 100 batches. The noise of a batch's cutoff is small (2,048 rows keep 65,536 latents), and
a longer mean would lag behind the weights."""


class BatchTopKDictionary(Dictionary):
    """The B * K highest-ranked latents of a batch make its codes (Bussmann et al. 2024, "BatchTopK SAEs").

    So a row may have more latents than another. In training, latents that tie for the last place are all kept.

    In evaluation mode a row must not depend on the others: a latent is active where its rank exceeds a threshold,
    strictly. The threshold is the weighted mean of the cutoffs of the batches of training, each the smallest rank that
    was kept. Weights fall by `threshold_decay` for each batch back, and their sum divides from the first batch on (the
    mean of Adam, with its correction). Before the first step there is no threshold, and evaluation mode keeps the K
    highest-ranked of each row.

    If torch has a process group, a batch of training is that of all ranks.

    A dictionary in training belongs to one thread: its passes share memory.
    """

    keeps_k = True
    takes_auxk = True
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"threshold_decay": THRESHOLD_DECAY})

    cutoff_sum: Tensor
    """Weighted sum of the cutoffs so far."""
    cutoff_weight: Tensor
    """Sum of their weights; 0 before the first step."""

    def __init__(
        self,
        shape: Shape,
        *,
        threshold_decay: float = THRESHOLD_DECAY,
        **options: Any,  # noqa: ANN401 - those of the shape
    ) -> None:
        super().__init__(shape, **options)
        if shape.kept is None:
            raise ValueError("a BatchTopK dictionary needs Shape.kept")
        if not 0 <= threshold_decay < 1:
            raise ValueError(f"threshold_decay = {threshold_decay}; it is at least 0 and less than 1")
        self.kept = shape.kept
        self.threshold_decay = threshold_decay
        self.register_buffer("cutoff_sum", torch.zeros(()))
        self.register_buffer("cutoff_weight", torch.zeros(()))
        self.last_cutoff: Tensor | None = None
        """Cutoff of the last batch of training, [], until the step is done; inf where no latent was active."""
        self.scratch = Scratch()

    def threshold(self) -> Tensor | None:
        """Return the threshold of evaluation mode, []; None before the first step."""
        return self.cutoff_sum / self.cutoff_weight if bool(self.cutoff_weight > 0) else None

    def threshold_F(self) -> Tensor | None:
        """Return the threshold for each latent; None before the first step."""
        threshold = self.threshold()
        return None if threshold is None else threshold.expand(self.shape.latents)

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]; in training mode it depends on the whole batch."""
        threshold = self.threshold()
        if not self.training and threshold is None:
            return topk_code(self.weights(), values_BSD, kept=self.kept, score_F=self.score_F())
        return ranked_code(self.weights(), values_BSD.flatten(1), self.limit(threshold), score_F=self.score_F())

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        found = self.plain_pass(values_BSD)
        reconstruction_BSD = found.reconstruction_BX.view(self._shape_of_rows)
        return DictionaryOutput(reconstruction_BSD, found.fired_F, penalty=None, code_BF=found.code_BF)

    @torch.no_grad()
    def after_step(self) -> None:
        """Add the cutoff of the batch to the mean."""
        if self.last_cutoff is not None and bool(torch.isfinite(self.last_cutoff)):
            self.cutoff_sum.lerp_(self.last_cutoff.to(self.cutoff_sum), 1 - self.threshold_decay)
            self.cutoff_weight.lerp_(torch.ones_like(self.cutoff_weight), 1 - self.threshold_decay)
        self.last_cutoff = None

    def plain_pass(self, values_BSD: Tensor) -> Pass:
        """Encode and decode, all latents at once."""
        weights, score_F, threshold = self.weights(), self.score_F(), self.threshold()
        if not self.training and threshold is None:
            return topk_pass(weights, values_BSD, kept=self.kept, score_F=score_F, dense=self.keep_code)
        return ranked_pass(
            weights,
            values_BSD.flatten(1),
            self.limit(threshold),
            score_F=score_F,
            scratch=self.scratch if self.training else None,
            dense=self.keep_code,
        )

    def limit(self, threshold: Tensor | None) -> Limit:
        """Return the limit of the batch in training mode, else the threshold."""

        def in_training(ranked_BF: Tensor) -> Tensor:
            if rank_count() > 1 and self.training:
                count = self.kept * rows_of_all(len(ranked_BF), device=ranked_BF.device)
                self.last_cutoff = global_topk_threshold(ranked_BF, count)
            else:
                self.last_cutoff = batch_cutoff(ranked_BF, self.kept * len(ranked_BF))
            return ranked_BF >= self.last_cutoff

        return in_training if self.training or threshold is None else (lambda ranked_BF: ranked_BF > threshold)
