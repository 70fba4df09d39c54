"""Token lengths -> batches: neighbours in length share a forward pass, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["padding_share", "plan_batches"]

Indices = NDArray[np.int64]


def plan_batches(token_length_N: ArrayLike, *, tokens_per_batch: int) -> list[Indices]:
    """Group items into batches whose padded area stays within a budget.

    Items are sorted by length (ties keep their order) and cut from the longest down, so that a batch that does not
    fit the device fails at once and not after hours.

    Parameters
    ----------
    token_length_N
        Tokens of each item, special tokens included.
    tokens_per_batch
        Most tokens of one batch, padding included: items times the longest of them. An item that is longer than
        this by itself gets a batch of its own.

    Returns
    -------
    list of int64 arrays
        Indices of the items of each batch; every item is in exactly one.

    Raises
    ------
    ValueError
        If the budget is below one token or a length is negative.

    Examples
    --------
    >>> [batch.tolist() for batch in plan_batches([5, 100, 4, 9], tokens_per_batch=20)]
    [[1], [3, 0], [2]]
    """
    length_N = np.asarray(token_length_N, dtype=np.int64)
    if tokens_per_batch < 1:
        raise ValueError(f"tokens_per_batch must be at least 1, not {tokens_per_batch}")
    if length_N.size and length_N.min() < 0:
        raise ValueError(f"lengths must not be negative; item {int(length_N.argmin())} has {length_N.min()}")

    longest_first_N = np.argsort(-length_N, kind="stable")
    batches: list[Indices] = []
    start = 0
    while start < len(longest_first_N):
        longest = max(int(length_N[longest_first_N[start]]), 1)
        stop = start + max(tokens_per_batch // longest, 1)
        batches.append(longest_first_N[start:stop])
        start = stop
    return batches


def padding_share(token_length_N: ArrayLike, batches: Sequence[Indices]) -> float:
    """Return the share of the padded area of these batches that is padding, in [0, 1).

    Examples
    --------
    >>> padding_share([10, 5], [np.array([0, 1])])
    0.25
    """
    length_N = np.asarray(token_length_N, dtype=np.int64)
    area = sum(len(batch) * int(length_N[batch].max()) for batch in batches if len(batch))
    tokens = sum(int(length_N[batch].sum()) for batch in batches)
    return 1.0 - tokens / area if area else 0.0
