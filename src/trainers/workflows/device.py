"""Choose the device that a name means."""

from __future__ import annotations

import torch

import actstore

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """Return the device of a name, by the rule of `actstore.choose_device`.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    return torch.device(actstore.choose_device(name))
