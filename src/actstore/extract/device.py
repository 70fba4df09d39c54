"""Choose the device that a name means."""

from __future__ import annotations

from typing import Final

import torch

from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import UsageError

__all__ = ["AUTO", "choose_device"]

AUTO: Final = "auto"
"""CUDA if PyTorch can use it here, else the CPU."""


@with_keyword_hints
def choose_device(name: str) -> str:
    """Return the device that a name means here: `cpu`, `cuda` or `cuda:N`.

    Parameters
    ----------
    name
        A device, or `auto`: CUDA if PyTorch can use it here, else the CPU.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if name == AUTO:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"{name!r} is not a device; use auto, cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise UsageError(f"device {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r}: PyTorch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices here; "
            "use auto or cpu, or install a CUDA build of PyTorch"
        )
    return str(device)
