"""Input of the model in an extraction: windows, tokens, repeated windows and padding.

Sums over lengths are exact except for the draw of the rows. The windows on borders between tasks, and the padding of
batches, are estimated by laying out a few tasks of sequences drawn by their lengths.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import Purpose, derive_key, permutation, uniform
from actstore.contracts.rules import RowRules
from actstore.corpus.batches import plan_batches
from actstore.corpus.lengths import LengthCounts
from actstore.corpus.windows import window_counts
from actstore.extract.residues import expected_counts

__all__ = ["Passes", "model_passes"]

_SAMPLED_TASKS: Final = 8
_MOST_SEQUENCES: Final = 60_000
"""Enough for eight tasks of 16,384 rows at two rows per sequence; larger tasks are laid out in part."""


class Passes(NamedTuple):
    """The forward passes of an extraction."""

    windows: float
    """Windows with rows; the model reads each of them."""
    residues: float
    """Residues of those windows; residues in overlaps count twice."""
    tokens: float
    """With special tokens, before padding."""
    token_pairs: float
    """Sum of the squared lengths in tokens."""
    repeated: float
    """Mean number of runs of a token: a window on the border between two tasks runs for both."""
    padding: float
    """Tokens of the padded batches divided by those of their windows."""
    pair_padding: float
    """The same for squared lengths."""

    @property
    def run_residues(self) -> float:
        """Residues that the model reads, with repeated windows."""
        return self.residues * self.repeated

    @property
    def run_tokens(self) -> float:
        """Tokens that the model reads, padding included."""
        return self.tokens * self.repeated * self.padding

    @property
    def run_token_pairs(self) -> float:
        """Squared lengths in attention, padding included."""
        return self.token_pairs * self.repeated * self.pair_padding


def model_passes(lengths: LengthCounts, rules: RowRules, *, tokens_per_batch: int, special_tokens: int) -> Passes:
    """Work out the forward passes of an extraction from the lengths alone.

    Parameters
    ----------
    lengths
        Sequences of each length.
    rules
        Which residues are kept, how sequences are cut into windows, and the rows of a task.
    tokens_per_batch
        Most tokens of one forward pass, padding included.
    special_tokens
        Tokens added to every window.

    Examples
    --------
    >>> lengths = LengthCounts(np.array([100]), np.array([1000]))
    >>> passes = model_passes(lengths, RowRules(seed=0), tokens_per_batch=8192, special_tokens=2)
    >>> passes.windows, passes.residues, passes.tokens
    (1000.0, 100000.0, 102000.0)
    """
    rows_L = expected_counts(lengths.length_L, rules)
    windows_L = _windows(lengths.length_L, rules)
    # A sequence of few rows cannot have one in each of its windows; one of less than a row is drawn or not.
    used_L = lengths.count_L * np.minimum(windows_L, rows_L)
    residues_L = np.minimum(lengths.length_L, rules.window_residues)
    tokens_L = residues_L + special_tokens
    tokens_U, rows_U = _sampled_units(lengths, rules, float((lengths.count_L * rows_L).sum()), special_tokens)
    repeated, padding, pair_padding = _sampled(
        tokens_U, rows_U, task_rows=rules.task_rows, tokens_per_batch=tokens_per_batch
    )
    return Passes(
        windows=float(used_L.sum()),
        residues=float((used_L * residues_L).sum()),
        tokens=float((used_L * tokens_L).sum()),
        token_pairs=float((used_L * tokens_L.astype(np.float64) ** 2).sum()),
        repeated=repeated,
        padding=padding,
        pair_padding=pair_padding,
    )


def _windows(length_L: NDArray[np.int64], rules: RowRules) -> NDArray[np.int64]:
    counts = window_counts(length_L.astype(np.int32), window=rules.window_residues, overlap=rules.window_overlap)
    return counts.astype(np.int64)


def _sampled(
    tokens_U: NDArray[np.int64], rows_U: NDArray[np.int64], *, task_rows: int, tokens_per_batch: int
) -> tuple[float, float, float]:
    """Return `repeated`, `padding` and `pair_padding` of a few tasks like those of the plan."""
    end_U = np.cumsum(rows_U)
    if not len(end_U):
        return 1.0, 1.0, 1.0
    tasks = max(min(int(end_U[-1]) // task_rows, _SAMPLED_TASKS), 1)
    own = run = padded = run_pairs = padded_pairs = 0.0
    for task in range(tasks):
        begin, stop = task * task_rows, min((task + 1) * task_rows, int(end_U[-1]))
        units = slice(int(np.searchsorted(end_U, begin, "right")), int(np.searchsorted(end_U, stop, "left")) + 1)
        inside_U = np.minimum(end_U[units], stop) - np.maximum(end_U[units] - rows_U[units], begin)
        tokens_u = tokens_U[units]
        own += float((tokens_u * inside_U / rows_U[units]).sum())
        run += float(tokens_u.sum())
        run_pairs += float((tokens_u.astype(np.float64) ** 2).sum())
        for batch in plan_batches(tokens_u, tokens_per_batch=tokens_per_batch):
            longest = int(tokens_u[batch].max())
            padded += len(batch) * longest
            padded_pairs += len(batch) * float(longest) ** 2
    return run / own, padded / run, padded_pairs / run_pairs


def _sampled_units(
    lengths: LengthCounts, rules: RowRules, rows: float, special_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return tokens and rows of windows, enough for a few tasks, in random order as in a plan."""
    # Of sequences with less than a row, as many count as are drawn, each with one.
    kept_L = lengths.count_L * np.minimum(expected_counts(lengths.length_L, rules), 1.0)
    mean_rows = rows / kept_L.sum() if rows else 1.0
    wanted_rows = min(_SAMPLED_TASKS * rules.task_rows, rows, _MOST_SEQUENCES * mean_rows)
    # Some more than the mean says, since rows are drawn.
    count = int(wanted_rows / mean_rows * 1.1) + 16 if rows else 0
    draw_length_N, draw_rows_N = (
        uniform(derive_key(rules.seed, Purpose.SEQUENCE_ORDER, 1, use), np.arange(count, dtype=np.uint64))
        for use in (0, 1)
    )
    until_L = np.cumsum(kept_L) / kept_L.sum() if rows else kept_L
    length_N = lengths.length_L[np.minimum(np.searchsorted(until_L, draw_length_N, "right"), len(until_L) - 1)]
    rows_N = np.maximum(np.floor(rules.fraction * length_N + draw_rows_N), 1.0).astype(np.int64)
    if rules.max_per_sequence is not None:
        rows_N = np.minimum(rows_N, rules.max_per_sequence)
    windows_N = _windows(length_N, rules)
    first_N = np.cumsum(windows_N) - windows_N
    sequence_U = np.repeat(np.arange(count), windows_N)
    window_U = np.arange(len(sequence_U)) - first_N[sequence_U]
    # Rows of a sequence, spread evenly over its windows.
    share = [(window_U + after) * rows_N[sequence_U] // windows_N[sequence_U] for after in (0, 1)]
    rows_U = share[1] - share[0]
    tokens_U = np.minimum(length_N, rules.window_residues)[sequence_U] + special_tokens
    order_U = permutation(derive_key(rules.seed, Purpose.SEQUENCE_ORDER, 1, 2), len(rows_U))
    order_U = order_U[rows_U[order_U] > 0]
    return tokens_U[order_U].astype(np.int64), rows_U[order_U].astype(np.int64)
