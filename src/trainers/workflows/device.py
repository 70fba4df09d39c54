"""Choose the device that a name means."""

from __future__ import annotations

import torch

from actstore import errors

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise errors.UsageError(f"no device is called {name!r}; use cpu, cuda or cuda:N") from error
    if device.type not in {"cpu", "cuda"}:
        raise errors.UsageError(f"training runs on cpu and cuda, not on {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise errors.UsageError(f"{name}: this machine has {torch.cuda.device_count()} CUDA devices; use --device cpu")
    return device
