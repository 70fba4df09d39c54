"""How fast rows can be encoded, by the host and by a device, and taken off the device."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import torch

from actstore.contracts.planes import Calibration
from actstore.quantize.encode import encode_rows
from actstore.quantize.table import QUANTIZERS
from benchmarks.limits.passes import Clock

__all__ = ["measure_encoding"]

ENCODED_WIDTH: Final = 1280


def measure_encoding(device: str, *, rows: int) -> dict[str, float]:
    """Return GB of float32 a second, best of three: encoding by host and device, and copies off the device."""
    values_ND = np.random.default_rng(0).standard_normal((rows, ENCODED_WIDTH), dtype=np.float32)
    calibration = Calibration(np.zeros(ENCODED_WIDTH, np.float32), np.ones(ENCODED_WIDTH, np.float32))
    there, cores = torch.from_numpy(values_ND).to(device), os.cpu_count() or 1
    pinned = torch.empty(there.shape, pin_memory=there.is_cuda)

    def encode(values: Any) -> None:  # noqa: ANN401 - an array or a tensor
        encode_rows(values, QUANTIZERS["int8"], calibration)

    def best(act: Callable[[], object], *, times: int = 1) -> float:
        seconds = []
        for _ in range(3):
            with Clock(there.device) as clock:
                act()
            seconds.append(clock.seconds)
        return round(times * values_ND.nbytes / min(seconds) / 1e9, 2)

    with ThreadPoolExecutor(cores) as pool:
        return {
            "host_one_thread": best(lambda: encode(values_ND)),
            "host_all_threads": best(lambda: list(pool.map(encode, [values_ND] * cores)), times=cores),
            "device": best(lambda: encode(there)),
            "off_the_device": best(lambda: pinned.copy_(there, non_blocking=True)),
        }
