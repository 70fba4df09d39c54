from __future__ import annotations

import numpy as np
import pytest

from actstore.errors import CursorError
from actstore.testing.memory_stream import MemoryStream, moments_of

ROWS = np.arange(50 * 2 * 4, dtype=np.float32).reshape(50, 2, 4)


def stream(seed: int = 0) -> MemoryStream:
    return MemoryStream(ROWS, ("a", "b"), batch_rows=16, seed=seed)


def test_an_epoch_holds_every_row_once() -> None:
    rows = np.concatenate([batch.row_B for batch in stream()])
    assert sorted(rows) == list(range(50))


def test_batches_hold_the_rows_they_name() -> None:
    for batch in stream():
        np.testing.assert_array_equal(batch.values_BSD, ROWS[batch.row_B])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    one = stream()
    orders = [np.concatenate([batch.row_B for batch in source]) for source in (one, one, stream(seed=1))]
    assert len({order.tobytes() for order in orders}) == 3


def test_a_cursor_continues_exactly() -> None:
    one, other = stream(), stream()
    whole = [batch.row_B for batch in one]
    next(iter(other))
    again = stream()
    again.seek(other.cursor)
    np.testing.assert_array_equal(np.concatenate([batch.row_B for batch in again]), np.concatenate(whole[1:]))


def test_a_foreign_cursor_is_refused() -> None:
    with pytest.raises(CursorError, match="this stream is"):
        stream().seek(stream(seed=1).cursor)


def test_moments_are_those_of_each_site() -> None:
    moments = moments_of(ROWS, ("a", "b"))["b"]
    np.testing.assert_allclose(moments.mean_D, ROWS[:, 1].mean(axis=0))
    assert moments.mean_square_norm == pytest.approx((ROWS[:, 1].astype(np.float64) ** 2).sum(axis=1).mean())
