"""Leave out rows that are far longer than others."""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.fit.rows.places import RowPlaces

__all__ = ["keep_short_rows"]


def keep_short_rows(
    values_BSD: Tensor, places: RowPlaces | None, most_norm_S: Tensor | None
) -> tuple[Tensor, RowPlaces | None]:
    """Return the rows of a batch that are at no site longer than a limit, and their places.

    A row that is left out takes part in nothing: no term, no mean and no choice over the batch sees it.

    Parameters
    ----------
    values_BSD
        Raw rows. One that is not finite is kept, so that it is found.
    most_norm_S
        The limit at each site; None for none.
    """
    if most_norm_S is None:
        return values_BSD, places
    long_B = (torch.linalg.vector_norm(values_BSD, dim=2) > most_norm_S).any(dim=1)
    long_B &= torch.isfinite(values_BSD).all(dim=2).all(dim=1)
    if not bool(long_B.any()):
        return values_BSD, places
    index_N = torch.nonzero(~long_B).squeeze(1)
    return values_BSD[index_N], None if places is None else places.at(index_N.cpu().numpy())
