"""Rows of a buffer to one decoded batch, with the threads and vector instructions of torch.

Rows are gathered and widened in blocks that stay in cache, straight into a small ring of batches: allocation and
trips to memory, not arithmetic, are what a batch costs.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore.contracts.planes import Calibration, Float32s
from actstore.contracts.windows import RowBuffer

__all__ = ["TorchGather"]

RING: Final = 3
"""Batches that stay valid: the latest and the two before it."""
_BLOCK_BYTES: Final = 2 << 20
"""Encoded bytes of a block: 1,024 rows of 1,024 features in float16. Flat from half of it to four times."""


class TorchGather:
    """Gathers into a ring of preallocated batches.

    Parameters
    ----------
    encoding
        Name of the encoding.
    calibration
        Stacked over sites, [S, D]; None for encodings without.
    batch_rows
        Most rows of a batch.
    """

    def __init__(self, encoding: str, calibration: Calibration | None, *, batch_rows: int) -> None:
        self._decode = _DECODERS[encoding]
        self._center_SD, self._channel_SD = (
            (torch.empty(0), torch.empty(0))
            if calibration is None
            else (torch.from_numpy(calibration.center_D), torch.from_numpy(calibration.channel_D))
        )
        self._batch_rows = batch_rows
        self._ring: list[Tensor] = []
        self._turn = 0

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Float32s:
        """Return rows `take_B` as float32 [B, S, D]; valid for the next two calls."""
        rows, sites, width = buffer.values_NSD.shape
        source_NX = torch.from_numpy(buffer.values_NSD.reshape(rows, sites * width))
        order_B = torch.from_numpy(take_B)
        scale_NS = None if buffer.scale_NS is None else torch.from_numpy(buffer.scale_NS)
        batch_BSD = self._next(sites, width)[: len(take_B)]
        block = max(1, _BLOCK_BYTES // (sites * width * source_NX.element_size()))
        gathered_bX = source_NX.new_empty((min(block, len(take_B)), sites * width))
        for start in range(0, len(take_B), block):
            order_b = order_B[start : start + block]
            part_bX = gathered_bX[: len(order_b)]
            torch.index_select(source_NX, 0, order_b, out=part_bX)
            scale_bS = None if scale_NS is None else scale_NS[order_b].float()
            out_bSD = batch_BSD[start : start + block]
            self._decode(part_bX.view(-1, sites, width), scale_bS, self._center_SD, self._channel_SD, out_bSD)
        return batch_BSD.numpy()

    def _next(self, sites: int, width: int) -> Tensor:
        if len(self._ring) < RING:
            self._ring.append(torch.empty(self._batch_rows, sites, width))
        batch = self._ring[self._turn]
        self._turn = (self._turn + 1) % RING
        return batch


def _float16(q_bSD: Tensor, scale_bS: Tensor | None, center_SD: Tensor, channel_SD: Tensor, out_bSD: Tensor) -> None:
    del scale_bS, center_SD, channel_SD
    out_bSD.copy_(q_bSD)


def _bfloat16(q_bSD: Tensor, scale_bS: Tensor | None, center_SD: Tensor, channel_SD: Tensor, out_bSD: Tensor) -> None:
    del scale_bS, center_SD, channel_SD
    out_bSD.copy_(q_bSD.view(torch.bfloat16))


def _int8(q_bSD: Tensor, scale_bS: Tensor | None, center_SD: Tensor, channel_SD: Tensor, out_bSD: Tensor) -> None:
    if scale_bS is None:
        raise ValueError("int8 planes need a scale for each row")
    torch.mul(q_bSD, scale_bS[:, :, None], out=out_bSD)
    torch.addcmul(center_SD, out_bSD, channel_SD, out=out_bSD)


_DECODERS: Final[MappingProxyType[str, Callable[[Tensor, Tensor | None, Tensor, Tensor, Tensor], None]]] = (
    MappingProxyType({"float16": _float16, "bfloat16": _bfloat16, "int8": _int8})
)
