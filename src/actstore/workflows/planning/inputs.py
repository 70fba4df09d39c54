"""Inputs of a plan: the sizes of a model, and the number of sequences of each length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actstore.budget.transformer import TransformerShape
from actstore.contracts.models import Site
from actstore.corpus.lengths import LengthCounts

__all__ = ["ModelSizes", "PlannedCorpus", "apportion"]


class ModelSizes(NamedTuple):
    """What a plan needs to know of a model."""

    sites: tuple[Site, ...]
    shape: TransformerShape | None
    """None where it is unknown; then `reason` says why."""
    special_tokens: int
    """Added to every window."""
    reason: str | None = None


class PlannedCorpus(NamedTuple):
    """What a plan needs to know of the sequences."""

    lengths: LengthCounts
    skipped: dict[str, int]
    splits: dict[str, tuple[int, int]]
    """Sequences and rows of each split."""
    expected: bool


def apportion(total: int, shares: Sequence[float]) -> list[int]:
    """Divide a whole number by shares, the largest remainders rounded up.

    Examples
    --------
    >>> apportion(10, [0.5, 0.25, 0.25])
    [5, 3, 2]
    """
    whole = sum(shares)
    exact = [total * share / whole for share in shares]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - exact[index])
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts
