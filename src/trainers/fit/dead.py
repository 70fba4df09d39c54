"""Which latents have stopped firing."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["advance_idle_rows", "count_dead", "dead_latents"]


def advance_idle_rows(idle_rows_F: Tensor, fired_F: Tensor, *, rows: int) -> Tensor:
    """Return, for each latent, the rows since it last fired, after a batch of `rows`, int64 [F].

    A latent that fired on any row of the batch starts again at 0.

    Parameters
    ----------
    fired_F
        Rows of the batch on which each latent fired. If several processes share a step, this and `rows` are the sums
        over all of them; everything that counts dead latents follows from here.

    Examples
    --------
    >>> advance_idle_rows(torch.tensor([5, 5]), torch.tensor([0, 3]), rows=10).tolist()
    [15, 0]
    """
    return torch.where(fired_F > 0, 0, idle_rows_F + rows)


def dead_latents(idle_rows_F: Tensor, *, dead_after_rows: int) -> Tensor:
    """Return the indices of dead latents, int64: those that fired on none of the last `dead_after_rows` rows."""
    return torch.nonzero(idle_rows_F >= dead_after_rows).squeeze(1)


def count_dead(idle_rows_F: Tensor, *, rows: int, dead_after_rows: int) -> int | None:
    """Return how many latents are dead after `rows` rows of training; None while nobody can tell.

    Examples
    --------
    >>> count_dead(torch.tensor([15, 0]), rows=15, dead_after_rows=10)
    1
    >>> count_dead(torch.tensor([15, 0]), rows=15, dead_after_rows=20) is None
    True
    """
    if rows < dead_after_rows:
        return None
    return int(torch.count_nonzero(idle_rows_F >= dead_after_rows))
