"""The squared error of a reconstruction."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

__all__ = ["reconstruction_loss"]


def reconstruction_loss(reconstruction_BSD: Tensor, values_BSD: Tensor) -> Tensor:
    """Return the squared error, summed over sites and features, mean over the batch."""
    return mse_loss(reconstruction_BSD, values_BSD, reduction="sum") / len(values_BSD)
