"""Memory for batches on a device: new for each batch and used again when nobody holds it, or a ring of three."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

__all__ = ["RING", "BatchMemory", "batch_memory"]

RING: Final = 3
"""Batches that stay valid in a ring: the latest and the two before it. Also the most that are kept for later use."""

BatchMemory = Callable[[], Tensor]
"""Returns float32 memory for one batch, uninitialised."""


def batch_memory(shape: tuple[int, ...], *, reuse: bool, device: torch.device | str = "cpu") -> BatchMemory:
    """Return a source of memory for batches.

    Parameters
    ----------
    shape
        Shape of the largest batch.
    reuse
        Hand out three places in turn: a batch is overwritten by the third one after it. Otherwise a batch keeps its
        memory as long as an array, a tensor or a view of it is referred to.
    device
        Where.
    """
    if reuse:
        return _Ring(shape, torch.device(device))
    if torch.device(device).type == "cpu":
        return _Lent(shape)
    # The allocator of the device keeps memory that nobody refers to, and hands it out again in stream order.
    return lambda: torch.empty(shape, device=device)


class _Ring:
    """A few places in turn."""

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self._shape = shape
        self._device = device
        self._places: list[Tensor] = []
        self._turn = 0

    def __call__(self) -> Tensor:
        if len(self._places) < RING:
            self._places.append(torch.empty(self._shape, device=self._device))
        place = self._places[self._turn]
        self._turn = (self._turn + 1) % RING
        return place


class _Lent:
    """Memory of the host that is handed out again when no array and no tensor refers to it any more.

    New memory costs more than decoding a batch into it, since the system has to supply its pages.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._idle: deque[Tensor] = deque(maxlen=RING)

    def __call__(self) -> Tensor:
        memory = self._idle.pop() if self._idle else torch.empty(self._shape)
        loan = _Loan(memory)
        weakref.finalize(loan, self._idle.append, memory).atexit = False
        return torch.from_numpy(np.asarray(loan))


class _Loan:
    """What arrays and tensors on lent memory refer to; it ends with the last of them."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, memory: Tensor) -> None:
        self.__array_interface__: dict[str, Any] = memory.numpy().__array_interface__
