"""Dictionaries that keep K latents of each row, and the kernel of their pass.

Only K of F latents are active in a row, so everything after the choice needs K/F of the work of a dense product. On a
CPU sums of chosen decoder rows (`embedding_bag`) replace four of the five matrix products of a training step: for 8
sites of 128, F = 1,024, K = 32 and 1,024 rows on two cores, 26 ms instead of 63 ms. On a GPU the dense products take
almost no time, and bags of very unequal length are slow, so the products stay.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from trainers.dictionaries.dictionary import Dictionary, DictionaryOutput, FlatWeights, Shape, dense_output

__all__ = ["TopKDictionary", "topk_code", "topk_pass"]

_MOST_COUNTED: Final = 1 << 16


class TopKDictionary(Dictionary):
    """The K highest-ranked latents of a row make the code. The other base class of a dictionary sets its shapes.

    A dictionary in training belongs to one thread: its passes share memory.
    """

    keeps_k = True

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        if shape.kept is None:
            raise ValueError("a TopK dictionary needs Shape.kept")
        self.kept = shape.kept
        self._scratch = _Scratch()

    def encode(self, values_BSD: Tensor) -> Tensor:
        """Return the code [B, F]: relu(pre) of the K latents that rank highest."""
        return topk_code(self.flat(), values_BSD, kept=self.kept, score_F=self.score_F())

    def forward(self, values_BSD: Tensor) -> DictionaryOutput:
        """Encode and decode [B, S, D]."""
        if self.keep_code:
            return dense_output(self.flat(), values_BSD, self.encode(values_BSD))
        return topk_pass(self.flat(), values_BSD, kept=self.kept, score_F=self.score_F(), scratch=self._scratch)

    def score_F(self) -> Tensor | None:
        """Return the factor of each activation in the ranking; None ranks by activation."""
        return None


def topk_code(weights: FlatWeights, values_BSD: Tensor, *, kept: int, score_F: Tensor | None = None) -> Tensor:
    """Return the dense code [B, F]: ``relu(x W_enc + bias)``, zero except for the K largest of each row.

    Parameters
    ----------
    score_F
        Latents are ranked by activation times this; None ranks by activation.
    """
    pre_BF = torch.addmm(weights.folded_bias_F, values_BSD.flatten(1), weights.encoder_XF)
    index_BK = _choose(pre_BF, kept, score_F)
    return torch.zeros_like(pre_BF).scatter(1, index_BK, torch.relu(pre_BF.gather(1, index_BK)))


class _Scratch:
    """Memory for pre-activations and their ranks, kept from pass to pass: to get it anew costs a twentieth of a step.

    Memory that nothing is written to costs nothing.
    """

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def of(self, rows: int, latents: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return memory [B, F] for both, of the dtype of `like`, with anything in it."""
        size = rows * latents
        if self._memory is None or self._memory.shape[1] < size or self._memory.dtype != like.dtype:
            self._memory = like.new_empty(2, size)
        pre_N, rank_N = self._memory[:, :size]
        return pre_N.view(rows, latents), rank_N.view(rows, latents)


class _Pass(NamedTuple):
    """What a sparse pass needs beside rows and weights."""

    kept: int
    score_F: Tensor | None
    scratch: _Scratch | None


def topk_pass(
    weights: FlatWeights,
    values_BSD: Tensor,
    *,
    kept: int,
    score_F: Tensor | None = None,
    scratch: _Scratch | None = None,
) -> DictionaryOutput:
    """Encode and decode; gradients flow to the weights, and to rows that ask for one, through dense products."""
    if values_BSD.device.type != "cpu" or values_BSD.requires_grad:
        code_BF = topk_code(weights, values_BSD, kept=kept, score_F=score_F)
        return dense_output(weights, values_BSD, code_BF)
    sum_BX, fired_F = _SparseAutoencode.apply(  # type: ignore[no-untyped-call]
        values_BSD.flatten(1),
        weights.encoder_XF,
        weights.encoder_bias_F,
        weights.decoder_FX,
        weights.pre_bias_X,
        _Pass(kept, score_F, scratch),
    )
    return DictionaryOutput((sum_BX + weights.decoder_bias_X).view_as(values_BSD), fired_F, penalty=None)


def _choose(pre_BF: Tensor, kept: int, score_F: Tensor | None, out_BF: Tensor | None = None) -> Tensor:
    """Return the K latents of each row that rank highest; those below zero have a code of zero wherever they rank."""
    ranked_BF = pre_BF.detach() if score_F is None else torch.mul(pre_BF.detach(), score_F, out=out_BF)
    return torch.topk(ranked_BF, kept, dim=1, sorted=False).indices


class _SparseAutoencode(torch.autograd.Function):
    """``topk(relu((x - p) E + b)) D`` with sparse gradients of E, b, D and p.

    With p inside, no gradient of E is dense: ``b - p E`` outside would add an outer product of full size.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - the type in torch
        values_BX: Tensor,
        encoder_XF: Tensor,
        bias_F: Tensor,
        decoder_FX: Tensor,
        pre_bias_X: Tensor | None,
        settings: _Pass,
    ) -> tuple[Tensor, Tensor]:
        inputs_BX = values_BX if pre_bias_X is None else values_BX - pre_bias_X
        into: tuple[Tensor | None, Tensor | None] = (None, None)
        if settings.scratch is not None and not torch.is_autocast_enabled("cpu"):  # which `out` would turn off
            into = settings.scratch.of(len(inputs_BX), len(bias_F), like=inputs_BX)
        pre_BF = torch.addmm(bias_F, inputs_BX, encoder_XF, out=into[0])
        index_BK = _choose(pre_BF, settings.kept, settings.score_F, out_BF=into[1])
        with torch.enable_grad():
            # The bag's own backward computes the gradient of its weights: K dot products a row.
            code_BK = pre_BF.gather(1, index_BK).to(decoder_FX.dtype).relu_().requires_grad_()
            sum_BX = embedding_bag(index_BK, decoder_FX.detach(), per_sample_weights=code_BK, mode="sum")
        ctx.save_for_backward(inputs_BX, encoder_XF)
        ctx.code_BK, ctx.index_BK, ctx.sum_BX, ctx.latents = code_BK, index_BK, sum_BX, len(bias_F)
        fired_F = _sum_by_latent((code_BK > 0).double(), index_BK, len(bias_F)).long()
        ctx.mark_non_differentiable(fired_F)
        return sum_BX.detach(), fired_F

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BX: Tensor, _fired: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs_BX, encoder_XF = ctx.saved_tensors
        gradient_BX = gradient_BX.contiguous()
        (d_code_BK,) = torch.autograd.grad(ctx.sum_BX, ctx.code_BK, gradient_BX, retain_graph=True)
        code_BK = ctx.code_BK.detach()
        d_pre_BK = d_code_BK * (code_BK > 0)
        by_latent = _LatentBags(ctx.index_BK, ctx.latents)
        d_decoder_FX = by_latent.sum(gradient_BX, code_BK)
        d_encoder_XF = by_latent.sum(inputs_BX, d_pre_BK).t()
        d_bias_F = _sum_by_latent(d_pre_BK, ctx.index_BK, ctx.latents)
        d_pre_bias_X = None
        if ctx.needs_input_grad[4]:
            d_pre_bias_X = -(encoder_XF @ d_bias_F)
        return None, d_encoder_XF, d_bias_F, d_decoder_FX, d_pre_bias_X, None


def _sum_by_latent(value_BK: Tensor, index_BK: Tensor, latents: int) -> Tensor:
    """Return the sum of the values at each latent, [F]."""
    return value_BK.new_zeros(latents).index_add_(0, index_BK.flatten(), value_BK.flatten())


class _LatentBags:
    """For each latent, the rows of the batch that chose it: the transpose of ``index_BK``."""

    def __init__(self, index_BK: Tensor, latents: int) -> None:
        chosen = index_BK.flatten()
        self._order = _stable_order(chosen, latents)
        self._row = torch.div(self._order, index_BK.shape[1], rounding_mode="floor")
        ends_F = torch.cumsum(torch.bincount(chosen, minlength=latents), 0)
        self._starts_F = torch.cat([ends_F.new_zeros(1), ends_F[:-1]])

    def sum(self, values_BX: Tensor, weight_BK: Tensor) -> Tensor:
        """Return, for each latent, the weighted sum of the rows that chose it, [F, X]."""
        weights = weight_BK.flatten()[self._order]
        return embedding_bag(self._row, values_BX, self._starts_F, per_sample_weights=weights, mode="sum")


def _stable_order(chosen: Tensor, latents: int) -> Tensor:
    """Return the order that sorts numbers of latents; NumPy sorts 16 bits by counting, in a tenth of the time."""
    if latents > _MOST_COUNTED:
        return torch.sort(chosen, stable=True).indices
    return torch.from_numpy(np.argsort(chosen.numpy().astype(np.uint16), kind="stable"))
