"""Dictionaries with a JumpReLU: a latent is active above a threshold of its own, which is learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

import torch
from torch import Tensor, nn

from trainers.dictionaries.codes.relu import DEFAULT_SPARSITY
from trainers.dictionaries.codes.sparse import Pass, above, can_be_sparse, dense_pass, sparse_encode, sparse_pass
from trainers.dictionaries.codes.straight_through import jump, step
from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, Role, Shape
from trainers.dictionaries.ranks import all_sum, rows_of_all

__all__ = ["JumpReluDictionary", "L0Penalty"]

L0Penalty = Literal["target", "linear", "tanh"]

DEFAULT_L0_TARGET: Final = 32.0
DEFAULT_BANDWIDTH: Final = 1.0
FIRST_L0: Final = 3.0
"""Active latents of a row at the start, in units of the target: no latent is shut out before it has learned."""
ANNEAL_SHARE: Final = 0.3
"""Share of the run in which the target falls from there to where it is."""
TANH_SCALE: Final = 4.0
_MOST_ACTIVE: Final = 1 / 4
"""Share of the latents that are active at the start, at most."""
_MOST_SPARSE: Final = 1 / 4
"""Share of pairs of row and latent near or above their threshold, up to which sparse sums are faster than products."""


class JumpReluDictionary(Dictionary):
    """A latent is active where its pre-activation exceeds its threshold (Rajamanoharan et al. 2024, "Jumping Ahead").

    ``f = pre * (pre > exp(log_threshold))``. Gradients of thresholds are estimated (`codes.straight_through`).

    Parameters
    ----------
    l0_target
        T, the number of latents of a row that the penalty is relative to.
    l0_penalty
        ``target``: ``(L0 / T - 1)^2`` with L0 the mean of the batch, over all ranks. ``linear``: ``L0 / T``. ``tanh``:
        ``sum_i tanh(4 f_i ||W_dec[i]|| / spread) / T`` (Anthropic, January 2025).
    bandwidth
        Of the estimate, in units of the spread of the rows (`begin`).
    """

    keeps_k = False
    takes_auxk = True
    default_sparsity = 1.0
    """Of ``target``: the L0 of training ends within a few percent of it."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"l0_target": DEFAULT_L0_TARGET, "l0_penalty": "target", "bandwidth": DEFAULT_BANDWIDTH}
    )

    spread: Tensor
    """Unit of thresholds and bandwidth, []."""

    def __init__(
        self,
        shape: Shape,
        *,
        l0_target: float = DEFAULT_L0_TARGET,
        l0_penalty: L0Penalty = "target",
        bandwidth: float = DEFAULT_BANDWIDTH,
        **options: Any,  # noqa: ANN401 - those of the shape
    ) -> None:
        super().__init__(shape, **options)
        if l0_target <= 0 or bandwidth <= 0:
            raise ValueError(f"l0_target = {l0_target} and bandwidth = {bandwidth}; both are positive")
        self.l0_target, self.l0_penalty, self.bandwidth = l0_target, l0_penalty, bandwidth
        self._present_target = l0_target
        self.log_threshold = nn.Parameter(torch.zeros(shape.latents))
        self.register_buffer("spread", torch.ones(()))

    def roles(self) -> dict[str, Role]:
        """Return the role of each parameter, by its name."""
        return {**super().roles(), "log_threshold": Role.LOG_THRESHOLD}

    @classmethod
    def sparsity_of(cls, options: Mapping[str, Any]) -> float:
        """Return the default coefficient: that of ``target`` holds L0 there, that of the others is a price."""
        return cls.default_sparsity if options["l0_penalty"] == "target" else DEFAULT_SPARSITY

    @classmethod
    def penalty_unit(cls, sites: int, *, spread: float) -> float:  # noqa: ARG003 - for any rows
        """Return 1: the penalty counts latents."""
        return 1.0

    @torch.no_grad()
    def begin(self, *, spread: float, first_pre: float, seed: int) -> None:  # noqa: ARG002 - draws nothing
        """Set the unit, and the first thresholds: those that `FIRST_L0` of normal pre-activations exceed."""
        share = min(FIRST_L0 * self.l0_target / self.shape.latents, _MOST_ACTIVE)
        self.spread.fill_(spread)
        self.log_threshold.fill_(math.log(NormalDist().inv_cdf(1 - share) * first_pre))

    def before_step(self, share: float) -> None:
        """Let the target fall to where it is."""
        self._present_target = self.l0_target * FIRST_L0 ** max(0.0, 1 - share / ANNEAL_SHARE)

    def threshold_F(self) -> Tensor:
        """Return the threshold of each latent."""
        return self.log_threshold.detach().exp()

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]."""
        weights = self.weights()
        pre_BF = weights.pre(values_BSD.flatten(1))
        return jump(pre_BF, self.log_threshold.exp().expand_as(pre_BF), self._width)

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode, decode and price [B, S, D]."""
        found, penalty = (None if self.keep_code else self._sparse(values_BSD)) or self._dense(values_BSD)
        reconstruction_BSD = found.reconstruction_BX.view(self._shape_of_rows)
        return DictionaryOutput(reconstruction_BSD, found.fired_F, penalty, code_BF=found.code_BF)

    def price_F(self) -> Tensor | None:
        """Return the norm of each latent's decoder; None for 1."""
        return None if self.unit_norm_decoder else torch.linalg.vector_norm(self.flat().decoder_FX, dim=1)

    @property
    def _width(self) -> Tensor:
        return self.bandwidth * self.spread

    def _sparse(self, values_BSD: Tensor) -> tuple[Pass, Tensor] | None:
        """Return a sparse pass with its penalty; None where a dense one is better."""
        if not can_be_sparse(values_BSD):
            return None
        weights, threshold_F = self.weights(), self.log_threshold.exp()
        least_F = threshold_F.detach() - self._width / 2
        pre_N, chosen = sparse_encode(weights, values_BSD.flatten(1), lambda pre_BF: above(pre_BF > least_F))
        if len(pre_N) > _MOST_SPARSE * len(values_BSD) * self.shape.latents:
            return None
        threshold_N = threshold_F[chosen.index_N]
        code_N = jump(pre_N, threshold_N, self._width)
        price_F = self.price_F()
        price_N = None if price_F is None else price_F[chosen.index_N]
        return sparse_pass(weights, code_N, chosen), self._penalty(pre_N, threshold_N, code_N, price_N, len(values_BSD))

    def _dense(self, values_BSD: Tensor) -> tuple[Pass, Tensor]:
        weights = self.weights()
        pre_BF = weights.pre(values_BSD.flatten(1))
        threshold_BF = self.log_threshold.exp().expand_as(pre_BF)
        code_BF = jump(pre_BF, threshold_BF, self._width)
        penalty = self._penalty(pre_BF, threshold_BF, code_BF, self.price_F(), len(values_BSD))
        return dense_pass(weights, code_BF), penalty

    def _penalty(self, pre: Tensor, threshold: Tensor, code: Tensor, price: Tensor | None, rows: int) -> Tensor:
        """Return the penalty from the latents that are near or above their thresholds."""
        if self.l0_penalty == "tanh":
            size = code.to(threshold.dtype) if price is None else code * price
            return torch.tanh(TANH_SCALE / self.spread * size).sum() / (rows * self.l0_target)
        active = step(pre, threshold, self._width).sum()
        if self.l0_penalty == "linear":
            return active / rows / self.l0_target
        if self.training:  # the square of a mean over the batch of all ranks
            active, rows = all_sum(active), rows_of_all(rows, device=active.device)
        return (active / rows / self._present_target - 1).square()
