"""Which cursors belong to a stream, and which rows follow them; streams show the same with real rows."""

from dataclasses import replace

import pytest

from actstore.errors import CursorError
from actstore.stream.config import StreamConfig
from actstore.stream.cursor import Cursor
from actstore.stream.order import TaskRuns
from actstore.stream.positions import Positions
from actstore.stream.seats import Seat

RUNS = TaskRuns.of([(0, 64), (1, 40)], task_rows=64)


def positions(world_size: int = 1, *, recipe: str = "3fa9", runs: TaskRuns = RUNS, **changes: object) -> Positions:
    config = StreamConfig(batch_rows=10, fill_batches=2, window_rows=8, seat=Seat(0, world_size))
    return Positions(recipe, ["embed"], runs, replace(config, **changes))  # type: ignore[arg-type]


def test_the_first_position_is_followed_by_all_rows() -> None:
    place = positions()
    cursor, deal = place.find(place.first)
    assert cursor == place.first == Cursor(0, 0, 0, 1, place.fingerprint)
    assert (deal.rows_dealt, deal.batches) == (104, 11)


@pytest.mark.parametrize(
    "other",
    [
        positions(recipe="4fa9"),
        positions(runs=TaskRuns.of([(0, 64), (2, 40)], task_rows=64)),
        positions(batch_rows=11),
        positions(fill_batches=3),
        positions(window_rows=9),
        positions(order="uniform"),
        positions(seed=1),
        positions(drop_last=True),
    ],
    ids=range(8),
)
def test_whatever_changes_the_rows_of_a_batch_makes_another_stream(other: Positions) -> None:
    with pytest.raises(CursorError, match="the cursor belongs to stream"):
        positions().find(other.first)


def test_seats_and_threads_do_not() -> None:
    assert positions(4).fingerprint == positions(1, threads=9).fingerprint


def test_another_number_of_seats_takes_over_at_the_end_of_a_fill() -> None:
    two = positions(2)
    cursor, deal = two.find(replace(positions().first, batch=4))
    assert (cursor.start, cursor.batch, cursor.world_size) == (40, 0, 2)
    assert deal.rows_dealt == 64
    with pytest.raises(CursorError, match="in the middle of a fill; 2 can continue at a multiple of 2"):
        two.find(replace(positions().first, batch=5))


def test_with_too_few_rows_left_the_next_epoch_begins() -> None:
    cursor, _ = positions(2, drop_last=True).find(replace(positions(drop_last=True).first, epoch=3, start=50, batch=4))
    assert (cursor.epoch, cursor.start, cursor.batch) == (4, 0, 0)


@pytest.mark.parametrize(
    ("change", "message"), [({"batch": 11}, "at batch 11, the epoch has 11"), ({"start": 104}, "continue at row 104")]
)
def test_there_is_nothing_beyond_an_epoch(change: dict[str, int], message: str) -> None:
    with pytest.raises(CursorError, match=message):
        positions().find(replace(positions().first, **change))  # type: ignore[arg-type]
