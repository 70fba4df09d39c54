"""Sums and maxima over the processes (ranks) that share a batch; with one process, the numbers themselves.

Every rank calls the same functions in the same order. A rank whose partner has gone gets `LostRank`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable

from actstore import errors

__all__ = [
    "LostRank",
    "all_max",
    "all_sum",
    "global_topk_threshold",
    "rank_count",
    "rows_of_all",
    "sum_in_place",
    "told_by_first",
]


class LostRank(errors.TrainingError):
    """Another process of the run has ended, or has not answered in time."""


def rank_count() -> int:
    """Return how many processes share a batch: 1 unless torch has a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def all_sum(values: Tensor) -> Tensor:
    """Return the sums over all ranks, of the shape of `values`.

    Gradients flow through, for an objective that is the sum of the objectives of all ranks.

    Raises
    ------
    LostRank
        If another rank is gone.

    Examples
    --------
    >>> all_sum(torch.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    if rank_count() == 1:
        return values
    if values.requires_grad and torch.is_grad_enabled():
        summed: Tensor = _AllSum.apply(values)  # type: ignore[no-untyped-call]
        return summed
    return _reduced(values.detach(), distributed.ReduceOp.SUM)


def all_max(values: Tensor) -> Tensor:
    """Return the maxima over all ranks, without gradient; raises as `all_sum`."""
    return values if rank_count() == 1 else _reduced(values.detach(), distributed.ReduceOp.MAX)


def rows_of_all(rows: int, *, device: torch.device) -> int:
    """Return the sum of the rows of all ranks; raises as `all_sum`."""
    return rows if rank_count() == 1 else int(all_sum(torch.tensor([rows], device=device)))


def global_topk_threshold(values: Tensor, count: int) -> Tensor:
    """Return the `count`-th largest value of all ranks, or the smallest positive one if fewer are; inf if none is.

    Without gradient; raises as `all_sum`.

    Parameters
    ----------
    values
        Those of this rank, of any shape; ranks may have different numbers of them.
    count
        Over all ranks, at least 1: for K latents a row on average, K times `rows_of_all`.

    Examples
    --------
    >>> global_topk_threshold(torch.tensor([[3.0, -1.0], [2.0, 5.0]]), 2).item()
    3.0
    """
    own = values.detach().flatten()
    best = own.new_full((count,), -torch.inf)
    found = torch.topk(own, min(count, len(own)), sorted=False).values
    best[: len(found)] = found
    if (ranks := rank_count()) > 1:
        everywhere = [torch.empty_like(best) for _ in range(ranks)]
        _answered(lambda: distributed.all_gather(everywhere, best))
        best = torch.topk(torch.cat(everywhere), count, sorted=False).values
    return torch.where(best > 0, best, torch.inf).min()


@torch.no_grad()
def sum_in_place(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its sum over all ranks; raises as `all_sum`."""
    if rank_count() == 1:
        return
    for tensor in tensors:
        # In the order of memory: gradients of transposed weights are transposed, too.
        by_stride = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        dense = tensor.permute(by_stride).contiguous()
        _answered(lambda dense=dense: distributed.all_reduce(dense))  # type: ignore[misc]
        if dense.data_ptr() != tensor.data_ptr():
            tensor.permute(by_stride).copy_(dense)


def told_by_first(text: str, *, device: torch.device) -> str:
    """Return the text of rank 0 on every rank; raises as `all_sum`."""
    if rank_count() == 1:
        return text
    data = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(device)
    size = torch.tensor([len(data)], device=device)
    _answered(lambda: distributed.broadcast(size, src=0))
    if distributed.get_rank():
        data = torch.empty(int(size), dtype=torch.uint8, device=device)
    _answered(lambda: distributed.broadcast(data, src=0))
    return bytes(data.tolist()).decode()


class _AllSum(torch.autograd.Function):
    """The sum over all ranks; each rank's objective depends on it, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:  # noqa: ANN401 - the type in torch
        return _reduced(values, distributed.ReduceOp.SUM)

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _reduced(gradient, distributed.ReduceOp.SUM)


def _reduced(values: Tensor, operation: Any) -> Tensor:  # noqa: ANN401 - an enumeration that torch builds at run time
    result = values.clone(memory_format=torch.contiguous_format)
    _answered(lambda: distributed.all_reduce(result, op=operation))
    return result


def _answered(call: Callable[[], object]) -> None:
    """Call all ranks together; raises `LostRank` if one of them does not take part."""
    try:
        call()
    except RuntimeError as error:
        raise LostRank(
            "another process of this run ended, or did not answer in time; the process that failed first says why"
        ) from error
