"""The shuffle buffer on a device: encoded rows cross the bus, and are gathered and decoded there."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore.contracts.windows import RowBuffer, RowWindow, WindowReader
from actstore.store.read.decoding import RowDecoding
from actstore.stream.order import Fill
from actstore.stream.stages import Job, LoadedFill, places_of
from actstore.stream.tensors.gather import SiteDecoder
from actstore.stream.tensors.memory import batch_memory

__all__ = ["DeviceGather", "DeviceStage"]


class DeviceStage:
    """Reads windows into memory of the host, page-locked for CUDA, and copies each to the device when it is read.

    Parameters
    ----------
    reader
        Reads the windows; called from several threads at once.
    rows
        Rows of the largest fill.
    device
        Where fills are kept.
    """

    name = "device"

    def __init__(self, reader: WindowReader, *, rows: int, device: str | torch.device) -> None:
        self._reader = reader
        self._rows = rows
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self._idle: list[_Room] = []
        self._taken: dict[int, _Room] = {}
        self._copies = torch.cuda.Stream(self._device) if self._cuda else None  # type: ignore[no-untyped-call]

    def begin(self, fill: Fill) -> tuple[LoadedFill, list[Job]]:
        """Return memory on the device, and one job for each window."""
        room = self._idle.pop() if self._idle else self._allocate()
        jobs: list[Job] = [partial(self._read, window, room, start, stop) for window, start, stop in places_of(fill)]
        self._taken[id(room.device)] = room
        return LoadedFill(fill, room.device, fill.place_R), jobs

    def release(self, loaded: LoadedFill) -> None:
        """Use the memory again, after the device has gathered from it."""
        room = self._taken.pop(id(loaded.buffer))
        if self._cuda:
            room.gathered = torch.cuda.current_stream(self._device).record_event()
        self._idle.append(room)

    def discard(self, loaded: LoadedFill) -> None:
        """Leave the memory to threads that may still write to it."""
        self._taken.pop(id(loaded.buffer))

    def close(self) -> None:
        """Free the memory and close the reader."""
        self._idle.clear()
        self._taken.clear()
        self._reader.close()

    def _allocate(self) -> _Room:
        return _Room(RowBuffer.allocate(self._rows, self._reader.layout), self._device, locked=self._cuda)

    def _read(self, window: RowWindow, room: _Room, start: int, stop: int) -> None:
        host, device = room.host.part(start, stop), room.device.part(start, stop)
        self._reader.read(window, host)
        with torch.cuda.stream(self._copies):
            if self._copies is not None and room.gathered is not None:
                self._copies.wait_event(room.gathered)
            for source, target in zip(_encoded(host), _encoded(device), strict=True):
                target.copy_(torch.from_numpy(source), non_blocking=True)
        if self._copies is not None:
            self._copies.synchronize()


class DeviceGather:
    """Gathers and decodes on the device.

    Parameters
    ----------
    decoding
        How rows are stored.
    batch_rows
        Most rows of a batch.
    device
        Where the buffer is.
    reuse
        Overwrite a batch with the third one after it.
    """

    def __init__(
        self, decoding: RowDecoding, *, batch_rows: int, device: str | torch.device, reuse: bool = False
    ) -> None:
        self._device = torch.device(device)
        slots = range(len(decoding.site_columns))
        self._decoders = tuple(SiteDecoder(decoding, slot, device=self._device) for slot in slots)
        shape = (batch_rows, len(self._decoders), decoding.width)
        self._memory = batch_memory(shape, reuse=reuse, device=self._device)

    def __call__(self, buffer: RowBuffer, take_B: NDArray[np.int64]) -> Tensor:
        """Return rows `take_B` as float32 [B, S, D] on the device."""
        order_B = torch.from_numpy(take_B).to(self._device, non_blocking=True)
        scale_BTG = None if buffer.scale_RTG is None else buffer.scale_RTG[order_B]
        batch_BSD = self._memory()[: len(take_B)]
        for slot, (stored_RW, decoder) in enumerate(zip(buffer.values, self._decoders, strict=True)):
            decoder(stored_RW.index_select(0, order_B), scale_BTG, batch_BSD[:, slot])
        return batch_BSD

    def close(self) -> None:
        """Do nothing: it holds only memory."""


class _Room:
    """A fill's memory on both sides of the bus. Origins stay on the host."""

    def __init__(self, host: RowBuffer, device: torch.device, *, locked: bool) -> None:
        if locked:
            host = RowBuffer(
                tuple(_locked(values) for values in host.values),
                None if host.scale_RTG is None else _locked(host.scale_RTG),
                host.origin,
            )
        self.host = host
        self.device = RowBuffer(
            tuple(torch.from_numpy(values).to(device, copy=True) for values in host.values),
            None if host.scale_RTG is None else torch.from_numpy(host.scale_RTG).to(device, copy=True),
            host.origin,
        )
        self.gathered: torch.cuda.Event | None = None


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    """Return page-locked memory of the same shape, from which CUDA copies without another buffer."""
    return torch.from_numpy(array).pin_memory().numpy()


def _encoded(buffer: RowBuffer) -> list[Any]:
    return [*buffer.values, *([] if buffer.scale_RTG is None else [buffer.scale_RTG])]
