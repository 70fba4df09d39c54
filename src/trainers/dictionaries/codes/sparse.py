"""Sparse arithmetic of a pass: only the latents that are active in a row are worked on.

The pre-activations need a dense product. Everything after the choice of latents needs only a share of the work, that of
the active latents among all. On a CPU sums of chosen decoder rows (`embedding_bag`) replace four of the five matrix
products of a training step. A row may have any number of latents. On a GPU the dense products take almost no time, and
bags of very unequal length are slow, so the products stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag

from trainers.dictionaries.dictionary import FlatWeights, Weights

__all__ = [
    "Choice",
    "Chosen",
    "Pass",
    "Scratch",
    "above",
    "can_be_sparse",
    "chosen_k",
    "dense_pass",
    "sparse_decode",
    "sparse_encode",
    "sparse_pass",
]

_MOST_COUNTED: Final = 1 << 16


def can_be_sparse(values: Tensor) -> bool:
    """Return whether a pass over these rows may be sparse: on a CPU, if the rows ask for no gradient."""
    return values.device.type == "cpu" and not values.requires_grad


class Chosen:
    """N pairs of a row and a latent, in the order of the rows.

    Parameters
    ----------
    index_N
        Latent of each pair, int64.
    row_N
        Row of each pair, int64, ascending.
    rows, latents
        B and F.
    """

    def __init__(self, index_N: Tensor, row_N: Tensor, *, rows: int, latents: int) -> None:
        self.index_N = index_N
        self.row_N = row_N
        self.rows = rows
        self.latents = latents

    @cached_property
    def position_N(self) -> Tensor:
        """Place of each pair in a dense code that is laid out as one vector."""
        return self.row_N * self.latents + self.index_N

    def starts(self, bag_N: Tensor, bags: int) -> Tensor:
        """Return where each bag of pairs begins, int64 [bags]; the bags of the pairs ascend."""
        return _starts(torch.bincount(bag_N, minlength=bags))

    def sum_by_latent(self, value_N: Tensor) -> Tensor:
        """Return the sum of the values at each latent, [F]."""
        return value_N.new_zeros(self.latents).index_add_(0, self.index_N, value_N)

    def weighted_rows(self, values_GX: Tensor, bag_N: Tensor, weight_N: Tensor) -> Tensor:
        """Return, for each latent, the weighted sum of the rows ``bag_N`` of `values_GX` over its pairs, [F, X]."""
        order_N, start_F = self._by_latent
        return embedding_bag(bag_N[order_N], values_GX, start_F, per_sample_weights=weight_N[order_N], mode="sum")

    @cached_property
    def _by_latent(self) -> tuple[Tensor, Tensor]:
        """The order that sorts the pairs by latent, and where each latent begins there."""
        order_N = _stable_order(self.index_N, self.latents)
        return order_N, _starts(torch.bincount(self.index_N, minlength=self.latents))


Choice = Callable[[Tensor], Chosen]
"""Chooses from pre-activations [B, F], which it may not change."""


class Scratch:
    """Memory for pre-activations and their ranks, kept from pass to pass: to get it anew costs a twentieth of a step.

    Memory that nothing is written to costs nothing.
    """

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def pre(self, rows: int, latents: int, like: Tensor) -> Tensor:
        """Return memory [B, F] of the dtype of `like`, with anything in it."""
        size = rows * latents
        if self._memory is None or self._memory.shape[1] < size or self._memory.dtype != like.dtype:
            self._memory = like.new_empty(2, size)
        return self._memory[0, :size].view(rows, latents)

    def rank(self, pre_BF: Tensor) -> Tensor | None:
        """Return memory for the ranks of pre-activations that are in this memory; None if they are not."""
        if self._memory is None or self._memory.data_ptr() != pre_BF.data_ptr():
            return None
        return self._memory[1, : pre_BF.numel()].view_as(pre_BF)


class Pass(NamedTuple):
    """A pass over a batch, with all sites of a row side by side."""

    reconstruction_BX: Tensor
    fired_F: Tensor
    """int64: number of rows on which each latent was active."""
    code_BF: Tensor | None = None
    """The dense code, where the pass made one."""


def chosen_k(index_BK: Tensor, latents: int) -> Chosen:
    """Return K latents of each row."""
    rows, kept = index_BK.shape
    row_N = torch.arange(rows, device=index_BK.device).repeat_interleave(kept)
    return Chosen(index_BK.flatten(), row_N, rows=rows, latents=latents)


def above(mask_BF: Tensor) -> Chosen:
    """Return the pairs that a mask is true for, by row and then by latent."""
    rows, latents = mask_BF.shape
    position_N = torch.from_numpy(np.flatnonzero(mask_BF.numpy()))
    row_N = torch.div(position_N, latents, rounding_mode="floor")
    return Chosen(position_N - row_N * latents, row_N, rows=rows, latents=latents)


def sparse_encode(
    weights: Weights, values_BX: Tensor, choose: Choice, *, scratch: Scratch | None = None
) -> tuple[Tensor, Chosen]:
    """Return the pre-activations ``(x - p) E + b`` of the chosen latents [N], with sparse gradients of E, b and p.

    With p inside, no gradient of E is dense: ``b - p E`` outside would add an outer product of full size.

    Parameters
    ----------
    choose
        Chooses from all pre-activations.
    scratch
        Where all pre-activations are written, which must not be needed later.
    """
    layers = weights.layers()
    with torch.no_grad():
        inputs = [
            rows_BX if layer.pre_bias_X is None else rows_BX - layer.pre_bias_X
            for layer, rows_BX in zip(layers, values_BX.chunk(len(layers), dim=1), strict=True)
        ]
        pre_BF = _all_pre(layers, inputs, scratch)
        chosen = choose(pre_BF)
        pre_N = pre_BF.view(-1)[chosen.position_N].to(weights.decoder_bias_X.dtype)
    if len(layers) == 1:
        return _with_gradients(layers[0], pre_N, inputs[0], chosen), chosen
    parts, places = [], []
    for number, part, place_P in _by_layer(layers, chosen):
        parts.append(_with_gradients(layers[number], pre_N[place_P], inputs[number], part))
        places.append(place_P)
    return torch.empty_like(pre_N).index_copy(0, torch.cat(places), torch.cat(parts)), chosen


def sparse_decode(code_N: Tensor, decoder_FX: Tensor, chosen: Chosen, *, bag_N: Tensor, bags: int) -> Tensor:
    """Return the sum of the decoder rows of each bag of pairs, times their code, [bags, X].

    Parameters
    ----------
    bag_N
        Bag of each pair, ascending; the row, if a row is one bag.
    """
    return _Decode.apply(code_N, decoder_FX, chosen, bag_N, bags)  # type: ignore[no-untyped-call, no-any-return]


def dense_pass(weights: Weights, code_BF: Tensor) -> Pass:
    """Decode a dense code."""
    reconstruction_BX = weights.decode(code_BF)
    fired_F = torch.count_nonzero(code_BF.detach(), dim=0)
    return Pass(reconstruction_BX.to(weights.decoder_bias_X.dtype), fired_F, code_BF)


def sparse_pass(weights: Weights, code_N: Tensor, chosen: Chosen) -> Pass:
    """Decode the code of chosen latents."""
    fired_F = chosen.sum_by_latent((code_N.detach() > 0).double()).long()
    layers = weights.layers()
    if len(layers) == 1:
        sum_BX = sparse_decode(code_N, layers[0].decoder_FX, chosen, bag_N=chosen.row_N, bags=chosen.rows)
        return Pass(sum_BX + weights.decoder_bias_X, fired_F)
    reconstruction_BX = weights.decoder_bias_X.expand(chosen.rows, -1).clone()
    for number, part, place_P in _by_layer(layers, chosen):
        sum_BX = sparse_decode(code_N[place_P], layers[number].decoder_FX, part, bag_N=part.row_N, bags=part.rows)
        reconstruction_BX[:, -sum_BX.shape[1] :] += sum_BX
    return Pass(reconstruction_BX, fired_F)


def _all_pre(layers: Sequence[FlatWeights], inputs: Sequence[Tensor], scratch: Scratch | None) -> Tensor:
    """Return all pre-activations [B, F], in the memory of `scratch` if there is one."""
    into = None
    if scratch is not None and not torch.is_autocast_enabled("cpu"):  # which `out` would turn off
        into = scratch.pre(len(inputs[0]), sum(len(layer.encoder_bias_F) for layer in layers), like=inputs[0])
    if len(layers) == 1:
        return torch.addmm(layers[0].encoder_bias_F, inputs[0], layers[0].encoder_XF, out=into)
    pairs = zip(layers, inputs, strict=True)
    parts = [torch.addmm(layer.encoder_bias_F, inputs_BX, layer.encoder_XF) for layer, inputs_BX in pairs]
    return torch.cat(parts, dim=1, out=into)


def _by_layer(layers: Sequence[FlatWeights], chosen: Chosen) -> Iterator[tuple[int, Chosen, Tensor]]:
    """Yield each layer with latents, by number: its pairs, with latents as it counts them, and their places."""
    first = 0
    for number, layer in enumerate(layers):
        latents = len(layer.encoder_bias_F)
        place_P = torch.nonzero((chosen.index_N >= first) & (chosen.index_N < first + latents)).squeeze(1)
        index_P = chosen.index_N[place_P] - first
        if latents:
            yield number, Chosen(index_P, chosen.row_N[place_P], rows=chosen.rows, latents=latents), place_P
        first += latents


def _with_gradients(layer: FlatWeights, pre_N: Tensor, inputs_BX: Tensor, chosen: Chosen) -> Tensor:
    found_N: Tensor = _Encode.apply(  # type: ignore[no-untyped-call]
        layer.encoder_XF, layer.encoder_bias_F, layer.pre_bias_X, pre_N, inputs_BX, chosen
    )
    return found_N


class _Encode(torch.autograd.Function):
    """Pre-activations that are known already, with their gradients."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - the type in torch
        encoder_XF: Tensor,
        _bias_F: Tensor,
        _pre_bias_X: Tensor | None,
        pre_N: Tensor,
        inputs_BX: Tensor,
        chosen: Chosen,
    ) -> Tensor:
        ctx.save_for_backward(inputs_BX, encoder_XF)
        ctx.chosen = chosen
        return pre_N.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pre_N: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs_BX, encoder_XF = ctx.saved_tensors
        chosen: Chosen = ctx.chosen
        d_pre_N = d_pre_N.contiguous()
        d_encoder_XF = chosen.weighted_rows(inputs_BX, chosen.row_N, d_pre_N).t()
        d_bias_F = chosen.sum_by_latent(d_pre_N)
        d_pre_bias_X = -(encoder_XF @ d_bias_F) if ctx.needs_input_grad[2] else None
        return d_encoder_XF, d_bias_F, d_pre_bias_X, None, None, None


class _Decode(torch.autograd.Function):
    """Sums of decoder rows with a sparse gradient of the decoder."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - the type in torch
        code_N: Tensor,
        decoder_FX: Tensor,
        chosen: Chosen,
        bag_N: Tensor,
        bags: int,
    ) -> Tensor:
        with torch.enable_grad():
            # The bag's own backward computes the gradient of its weights: N dot products.
            code_N = code_N.detach().requires_grad_()
            start_G = chosen.starts(bag_N, bags)
            sum_GX = embedding_bag(chosen.index_N, decoder_FX.detach(), start_G, per_sample_weights=code_N, mode="sum")
        ctx.code_N, ctx.sum_GX, ctx.chosen, ctx.bag_N = code_N, sum_GX, chosen, bag_N
        return sum_GX.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_GX: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        gradient_GX = gradient_GX.contiguous()
        (d_code_N,) = torch.autograd.grad(ctx.sum_GX, ctx.code_N, gradient_GX, retain_graph=True)
        d_decoder_FX = ctx.chosen.weighted_rows(gradient_GX, ctx.bag_N, ctx.code_N.detach())
        return d_code_N, d_decoder_FX, None, None, None


def _starts(count_G: Tensor) -> Tensor:
    end_G = torch.cumsum(count_G, 0)
    return torch.cat([end_G.new_zeros(1), end_G[:-1]])


def _stable_order(index_N: Tensor, latents: int) -> Tensor:
    """Return the order that sorts numbers of latents; NumPy sorts 16 bits by counting, in a tenth of the time."""
    if latents > _MOST_COUNTED:
        return torch.sort(index_N, stable=True).indices
    return torch.from_numpy(np.argsort(index_N.numpy().astype(np.uint16), kind="stable"))
