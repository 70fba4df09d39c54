"""Number of training runs from which on a store is cheaper than running the model in each run."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["BreakEven", "break_even"]

_MOST_RUNS: Final = 1_000_000
"""More training runs than this count as never."""


class BreakEven(NamedTuple):
    """The break-even, or the reason why there is none."""

    runs: int | None
    """The first number of training runs at which the store is cheaper."""
    reason: str | None = None
    """Why the store is never cheaper; None if there is a break-even."""


def break_even(*, store_once: float, store_per_run: float, online_per_run: float) -> BreakEven:
    """Return the least n with ``store_once + n * store_per_run < n * online_per_run``.

    All three leave out the cost of training itself, which is the same for both.

    Parameters
    ----------
    store_once
        Dollars for extracting, writing and keeping the store.
    store_per_run
        Dollars for reading it once.
    online_per_run
        Dollars for running the model over the same rows once.

    Examples
    --------
    >>> break_even(store_once=100.0, store_per_run=1.0, online_per_run=30.0).runs
    4
    >>> break_even(store_once=100.0, store_per_run=30.0, online_per_run=30.0).reason
    'never: reading the store costs $30.00 a run, running the model $30.00'
    """
    gain = online_per_run - store_per_run
    if not gain > 0:
        return BreakEven(
            None,
            f"never: reading the store costs ${store_per_run:,.2f} a run, running the model ${online_per_run:,.2f}",
        )
    if not store_once / gain < _MOST_RUNS:
        return BreakEven(
            None,
            f"never within {_MOST_RUNS:,} runs: the store costs ${store_once:,.2f}, and saves ${gain:,.2g} a run",
        )
    return BreakEven(math.floor(store_once / gain) + 1)
