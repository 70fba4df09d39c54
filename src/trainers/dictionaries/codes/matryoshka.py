"""BatchTopK dictionaries whose first latents alone must reconstruct, too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

import numpy as np
import torch
from torch import Tensor

from trainers.dictionaries.codes.batch_topk import THRESHOLD_DECAY, BatchTopKDictionary
from trainers.dictionaries.codes.chosen_by_rank import ranked_code, ranked_pairs
from trainers.dictionaries.codes.sparse import can_be_sparse, sparse_decode
from trainers.dictionaries.dictionary import DictionaryOutput, FlatWeights, Shape

__all__ = ["DEFAULT_GROUPS", "GroupDraw", "MatryoshkaDictionary", "drawn_ends", "ends_of"]

GroupDraw = Literal["fixed", "random"]

DEFAULT_GROUPS: Final = (1 / 16, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Each prefix is twice as long as the one before it."""
PARETO: Final = 0.5
_PREFIXES: Final = 2
"""Purpose of the draw, part of its seed; `fit.initialise` has 1."""


class MatryoshkaDictionary(BatchTopKDictionary):
    """BatchTopK with nested prefixes, each of which must reconstruct (Bussmann et al. 2025, arXiv:2503.17547).

    Latents are in groups. The code is that of BatchTopK over all latents; the reconstruction by the first g groups is
    compared with the rows for each g, and the loss is the mean over g. So early latents learn what matters most, and a
    general latent is not absorbed by special ones.

    Parameters
    ----------
    groups
        Share of the latents in each group; their sum is 1.
    group_draw
        ``fixed``, or ``random``: in each step prefixes of random length, as many as there are groups, the last one all
        latents (Nabeshima 2024). Their lengths are drawn between the first group and all latents, with a probability
        to exceed x that falls as ``x ** -0.5``. They follow from the seed of the run and the number of the step.
    """

    options: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {**BatchTopKDictionary.options, "groups": [*DEFAULT_GROUPS], "group_draw": "fixed"}
    )

    draw_seed: Tensor
    """Seed of the run, int64 []."""
    steps_done: Tensor
    """Steps trained, int64 []."""

    def __init__(
        self,
        shape: Shape,
        *,
        threshold_decay: float = THRESHOLD_DECAY,
        groups: Sequence[float] = DEFAULT_GROUPS,
        group_draw: GroupDraw = "fixed",
        **options: Any,  # noqa: ANN401 - those of the shape
    ) -> None:
        super().__init__(shape, threshold_decay=threshold_decay, **options)
        self.ends = ends_of(groups, shape.latents)
        """Number of latents in each prefix of ``fixed``, ascending; the last one is F."""
        self.group_draw = group_draw
        self.register_buffer("draw_seed", torch.zeros((), dtype=torch.int64))
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))

    @property
    def group_sizes(self) -> tuple[int, ...] | None:
        """Latents of each group; None if prefixes are drawn."""
        return tuple(end - start for start, end in pairwise((0, *self.ends))) if self.group_draw == "fixed" else None

    @torch.no_grad()
    def begin(self, *, spread: float, first_pre: float, seed: int) -> None:
        """Keep the seed."""
        super().begin(spread=spread, first_pre=first_pre, seed=seed)
        self.draw_seed.fill_(seed)

    def after_step(self) -> None:
        """Count the step, too."""
        super().after_step()
        self.steps_done += 1

    def prefixes(self) -> tuple[int, ...]:
        """Return the number of latents in each prefix of the next step, ascending; the last one is F."""
        if self.group_draw == "fixed":
            return self.ends
        return drawn_ends(int(self.draw_seed), int(self.steps_done), like=self.ends)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]; in training mode also by each prefix."""
        if not self.training:
            return super().forward(values_BSD)
        weights, ends = self.flat(), self.prefixes()
        dense = self.keep_code or not can_be_sparse(values_BSD)
        sums, fired_F, code_BF = (self._dense if dense else self._sparse)(weights, values_BSD.flatten(1), ends)
        *prefixes, whole = accumulate(sums, initial=weights.decoder_bias_X.expand_as(sums[0]))
        return DictionaryOutput(
            reconstruction_BSD=whole.reshape(self._shape_of_rows),
            fired_F=fired_F,
            penalty=None,
            also_BSD={
                f"prefix_{number}": prefix.reshape(self._shape_of_rows)
                for number, prefix in enumerate(prefixes[1:], start=1)
            },
            weight=1 / len(ends),
            code_BF=code_BF,
        )

    def _sparse(
        self, weights: FlatWeights, values_BX: Tensor, ends: tuple[int, ...]
    ) -> tuple[Sequence[Tensor], Tensor, None]:
        """Return what each group decodes to [B, X], and how often each latent fired."""
        code_N, chosen = ranked_pairs(
            weights, values_BX, self.limit(None), score_F=self.score_F(), scratch=self.scratch
        )
        group_N = torch.searchsorted(torch.tensor(ends), chosen.index_N, right=True)
        bag_N, bags = chosen.row_N * len(ends) + group_N, chosen.rows * len(ends)
        sum_GX = sparse_decode(code_N, weights.decoder_FX, chosen, bag_N=bag_N, bags=bags)
        fired_F = torch.bincount(chosen.index_N, minlength=chosen.latents)
        return sum_GX.view(chosen.rows, len(ends), -1).unbind(dim=1), fired_F, None

    def _dense(
        self, weights: FlatWeights, values_BX: Tensor, ends: tuple[int, ...]
    ) -> tuple[Sequence[Tensor], Tensor, Tensor]:
        code_BF = ranked_code(weights, values_BX, self.limit(None), score_F=self.score_F())
        sums = [code_BF[:, start:end] @ weights.decoder_FX[start:end] for start, end in pairwise((0, *ends))]
        fired_F = torch.count_nonzero(code_BF.detach(), dim=0)
        return [one.to(weights.decoder_FX.dtype) for one in sums], fired_F, code_BF


def ends_of(groups: Sequence[float], latents: int) -> tuple[int, ...]:
    """Return the number of latents in each prefix; each group has at least one latent.

    Raises
    ------
    ValueError
        If shares are not positive, do not sum to 1, or there are more groups than latents.

    Examples
    --------
    >>> ends_of([0.25, 0.25, 0.5], 10)
    (2, 5, 10)
    """
    if not groups or min(groups) <= 0 or not math.isclose(sum(groups), 1.0, abs_tol=1e-3):
        raise ValueError(f"groups {', '.join(f'{one:g}' for one in groups)}: positive shares that sum to 1 are needed")
    if len(groups) > latents:
        raise ValueError(f"{len(groups)} groups of {latents} latents; give fewer groups or more latents")
    ends: list[int] = []
    for number, share in enumerate(accumulate(groups[:-1]), start=1):
        least, most = (ends[-1] if ends else 0) + 1, latents - len(groups) + number
        ends.append(min(max(round(share * latents), least), most))
    return (*ends, latents)


def drawn_ends(seed: int, step: int, *, like: Sequence[int]) -> tuple[int, ...]:
    """Return as many random prefixes as `like` has, ascending; the last is as long as its last.

    Examples
    --------
    >>> drawn_ends(0, 7, like=(4, 16, 128)) == drawn_ends(0, 7, like=(4, 16, 128))
    True
    """
    least, most = like[0] ** -PARETO, like[-1] ** -PARETO
    drawn = np.random.default_rng([seed, step, _PREFIXES]).random(len(like) - 1)
    lengths = (least - drawn * (least - most)) ** (-1 / PARETO)
    return (*sorted(min(math.floor(length), like[-1]) for length in lengths), like[-1])
