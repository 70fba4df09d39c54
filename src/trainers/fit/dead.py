"""Which latents have stopped firing."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["advance_idle_rows", "dead_latents"]


def advance_idle_rows(idle_rows_F: Tensor, fired_F: Tensor, *, rows: int) -> Tensor:
    """Return, for each latent, the rows since it last fired, after a batch of `rows`.

    Examples
    --------
    >>> advance_idle_rows(torch.tensor([5, 5]), torch.tensor([0, 3]), rows=10).tolist()
    [15, 0]
    """
    return torch.where(fired_F > 0, 0, idle_rows_F + rows)


def dead_latents(idle_rows_F: Tensor, *, dead_after_rows: int) -> Tensor:
    """Return the indices of latents that have been idle for at least `dead_after_rows`, int64."""
    return torch.nonzero(idle_rows_F >= dead_after_rows).squeeze(1)
