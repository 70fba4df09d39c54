"""Rows of a buffer to one decoded batch, with the vector instructions of torch.

Rows are gathered and widened site by site, in blocks that stay in cache and are shared by a few threads, directly into
memory that is used again. Allocation and memory traffic are the main cost of a batch; arithmetic is cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore.contracts.planes import Float32s
from actstore.contracts.windows import RowBuffer
from actstore.quantize.int4 import group_width
from actstore.store.read.decoding import RowDecoding
from actstore.stream.tensors.memory import batch_memory
from actstore.stream.tensors.workers import BlockWorkers

__all__ = ["SiteDecoder", "TorchGather"]

_BLOCK_BYTES: Final = 1 << 20
"""Decoded bytes of a block: 256 rows of 1,024 features."""
_Decode = Callable[["SiteDecoder", Tensor, Tensor, Tensor], None]


class SiteDecoder:
    """Decodes rows of one site, on their device.

    Parameters
    ----------
    decoding
        How rows are stored.
    slot
        Index of the site.
    device
        Where the rows are.
    """

    def __init__(self, decoding: RowDecoding, slot: int, *, device: torch.device | str = "cpu") -> None:
        self._decode = _DECODERS[decoding.quantizer.name]
        self.column = decoding.site_columns[slot]
        self.groups = decoding.groups
        self.width = decoding.width
        calibration = decoding.calibrations[slot]
        if calibration is not None:
            self.center_D = torch.tensor(calibration.center_D, device=device)
            self.channel_D = torch.tensor(calibration.channel_D, device=device)

    def __call__(self, stored_BW: Tensor, scale_BTG: Tensor | None, out_BD: Tensor) -> None:
        """Decode rows as stored into float32 [B, D]."""
        scale_BG = torch.empty(0) if scale_BTG is None else scale_BTG[:, self.column, : self.groups].float()
        self._decode(self, stored_BW, scale_BG, out_BD)


class TorchGather:
    """Gathers into memory for batches.

    Parameters
    ----------
    decoding
        How rows are stored.
    batch_rows
        Most rows of a batch.
    reuse
        Overwrite a batch with the third one after it.
    """

    def __init__(self, decoding: RowDecoding, *, batch_rows: int, reuse: bool = False) -> None:
        self._decoders = tuple(SiteDecoder(decoding, slot) for slot in range(len(decoding.site_columns)))
        self._shape = (batch_rows, len(self._decoders), decoding.width)
        self._memory = batch_memory(self._shape, reuse=reuse)
        self._workers = BlockWorkers()
        self._blocks: list[Tensor] = []

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Float32s:
        """Return rows `take_B` as float32 [B, S, D]."""
        order_B = torch.from_numpy(take_B)
        scale_BTG = None if buffer.scale_RTG is None else torch.from_numpy(buffer.scale_RTG)[order_B]
        batch_BSD = self._memory()[: len(take_B)]
        sites = [torch.from_numpy(values_RW) for values_RW in buffer.values]
        rows = max(1, _BLOCK_BYTES // (4 * self._shape[2]))
        starts = range(0, len(take_B), rows)
        blocks = self._room(sites[0], rows)

        def gather(block: int, thread: int) -> None:
            slot, part = divmod(block, len(starts))
            here = slice(starts[part], starts[part] + rows)
            order_b = order_B[here]
            stored_bW = blocks[thread][: len(order_b)]
            torch.index_select(sites[slot], 0, order_b, out=stored_bW)
            scale_bTG = None if scale_BTG is None else scale_BTG[here]
            self._decoders[slot](stored_bW, scale_bTG, batch_BSD[here, slot])

        self._workers.run(len(starts) * len(sites), gather)
        return batch_BSD.numpy()

    def close(self) -> None:
        """End the threads."""
        self._workers.close()

    def _room(self, like_RW: Tensor, rows: int) -> list[Tensor]:
        """Return memory for a block of gathered rows for each thread."""
        if not self._blocks:
            self._blocks = [like_RW.new_empty((rows, like_RW.shape[1])) for _ in range(self._workers.count)]
        return self._blocks


def _float16(decoder: SiteDecoder, stored_BD: Tensor, scale_BG: Tensor, out_BD: Tensor) -> None:
    del decoder, scale_BG
    out_BD.copy_(stored_BD)


def _bfloat16(decoder: SiteDecoder, stored_BD: Tensor, scale_BG: Tensor, out_BD: Tensor) -> None:
    del decoder, scale_BG
    out_BD.copy_(stored_BD.view(torch.bfloat16))


def _int8(decoder: SiteDecoder, stored_BD: Tensor, scale_BG: Tensor, out_BD: Tensor) -> None:
    # Widened separately: one operation on two dtypes is slower than two operations on one.
    out_BD.copy_(stored_BD)
    out_BD.mul_(scale_BG)
    torch.addcmul(decoder.center_D, out_BD, decoder.channel_D, out=out_BD)


def _int4(decoder: SiteDecoder, stored_BW: Tensor, scale_BG: Tensor, out_BD: Tensor) -> None:
    # A byte becomes two: its low half where it is, its high half in the byte above (little-endian).
    pair_BW = stored_BW.to(torch.int16)
    pair_BW.bitwise_or_(pair_BW << 4).bitwise_and_(0x0F0F)
    width, wide = decoder.width, group_width(decoder.width)
    out_BD.copy_(pair_BW.view(torch.int8).sub_(8)[:, :width])
    if decoder.groups * wide == width:
        out_BD.view(len(out_BD), decoder.groups, wide).mul_(scale_BG[:, :, None])
    else:
        for group in range(decoder.groups):
            out_BD[:, group * wide : (group + 1) * wide].mul_(scale_BG[:, group, None])
    torch.addcmul(decoder.center_D, out_BD, decoder.channel_D, out=out_BD)


_DECODERS: Final[MappingProxyType[str, _Decode]] = MappingProxyType(
    {"float16": _float16, "bfloat16": _bfloat16, "int8": _int8, "int4": _int4}
)
