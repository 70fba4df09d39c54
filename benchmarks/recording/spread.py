"""Repeated measurements in short: the median, the least and the most; and ratios of the same round."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

__all__ = ["ratios_of_rounds", "spread"]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0])
    {'median': 2.0, 'least': 1.0, 'most': 3.0}
    """
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def ratios_of_rounds(measured: Mapping[str, Sequence[float]], of: str, to: str) -> dict[str, float]:
    """Return the spread of the ratios of one contestant to another, each within a round.

    Examples
    --------
    >>> ratios_of_rounds({"ours": [2.0, 3.0], "theirs": [1.0, 2.0]}, "ours", "theirs")
    {'median': 1.75, 'least': 1.5, 'most': 2.0}
    """
    return spread([one / other for one, other in zip(measured[of], measured[to], strict=True)])
