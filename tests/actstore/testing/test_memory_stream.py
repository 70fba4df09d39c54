"""Rows in memory behind the interface of a stream."""

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


def test_each_for_begins_the_next_epoch() -> None:
    one, other = stream(), stream()
    list(one)
    second = [batch.row_B for batch in one]
    next(iter(other))
    np.testing.assert_array_equal(np.concatenate([batch.row_B for batch in other]), np.concatenate(second))
    assert len(other) == 4


def test_a_foreign_cursor_is_refused() -> None:
    with pytest.raises(CursorError, match="this stream is"):
        stream().seek(stream(seed=1).cursor)


@pytest.mark.parametrize("shape", [(50, 4), (50, 2, 4, 1), (50, 3, 4)])
def test_rows_have_an_axis_for_their_sites(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"for sites \('a', 'b'\); wanted \[N, S, D\]"):
        MemoryStream(np.zeros(shape, np.float32), ("a", "b"))


def test_it_says_what_a_stream_says() -> None:
    with stream() as source:
        assert (source.sites, source.width, source.rows, source.batches_per_epoch) == (("a", "b"), 4, 50, 4)
        assert source.report().rows == 0
        batches = list(source)
        report = source.report()
    assert [len(batch.row_B) for batch in batches] == [16, 16, 16, 2]
    assert [batch.sequence_B.tolist() for batch in batches] == [batch.row_B.tolist() for batch in batches]
    assert (report.path, report.rows, report.bytes, report.mixing) == ("memory", 50, ROWS.nbytes, None)
    assert source.cursor.to_json() | {"stream": ""} == {
        "epoch": 1,
        "start": 0,
        "batch": 0,
        "world_size": 1,
        "stream": "",
    }


def test_sequences_are_those_given() -> None:
    sequence_N = np.arange(50) // 5
    for batch in MemoryStream(ROWS, ("a", "b"), batch_rows=16, sequence_N=sequence_N):
        assert batch.sequence_B.tolist() == sequence_N[batch.row_B].tolist()


def test_moments_are_those_of_each_site() -> None:
    moments = moments_of(ROWS, ("a", "b"))["b"]
    np.testing.assert_allclose(moments.mean_D, ROWS[:, 1].mean(axis=0))
    assert moments.mean_square_norm == pytest.approx((ROWS[:, 1].astype(np.float64) ** 2).sum(axis=1).mean())
