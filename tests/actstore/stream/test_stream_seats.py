"""One epoch shared by several processes: every row once over all of them, batch for batch in step."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actstore.errors import CursorError, StreamError
from actstore.stream.batch import Batch
from actstore.stream.config import OrderName
from actstore.stream.cursor import Cursor
from actstore.stream.open import open_stream
from actstore.stream.seats import Seat
from actstore.stream.stream import Stream
from tests.actstore.stream.batches import SMALL, assert_same, rows_of, split_rows

StoreOf = Callable[..., Path]
ORDERS: list[OrderName] = ["windows", "uniform"]
ROWS = 6657


@pytest.fixture
def store(store_of: StoreOf) -> Path:
    return store_of()


@contextmanager
def seats(store: Path, world_size: int, cursor: Cursor | None = None, **options: Any) -> Iterator[list[Stream]]:
    """Open the stream of every process, all at the same position, which went through a checkpoint."""
    with ExitStack() as stack:
        streams = []
        for rank in range(world_size):
            wanted: dict[str, Any] = {"batch_rows": 128, "buffer_bytes": SMALL} | options
            stream = stack.enter_context(open_stream(store, seat=Seat(rank, world_size), **wanted))
            if cursor is not None:
                stream.seek(Cursor.from_json(json.loads(json.dumps(cursor.to_json()))))
            streams.append(stream)
        yield streams


def run(streams: list[Stream], batches: int | None = None) -> list[list[Batch]]:
    """Let all processes take so many batches in step (None: the rest of the epoch); one list for each batch."""
    taken = []
    for together in itertools.islice(zip(*streams, strict=True), batches):
        assert len({stream.cursor for stream in streams}) == 1, "processes in step are at one position"
        taken.append(list(together))
    return taken


def rows(steps: list[list[Batch]]) -> list[int]:
    return [row for step in steps for row in rows_of(step)]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_together_they_get_every_row_once(store: Path, world_size: int, order: OrderName) -> None:
    """In each of two epochs, in as many batches each, none of them empty."""
    with seats(store, world_size, order=order) as streams:
        assert {stream.rows for stream in streams} == {ROWS}
        for epoch in range(2):
            steps = run(streams)
            assert {stream.batches_per_epoch for stream in streams} == {len(steps)}
            assert sorted(rows(steps)) == split_rows(store, "train")
            sizes = [[len(batch.row_B) for batch in step] for step in steps]
            assert sizes[:-2] == [[128] * world_size] * (len(steps) - 2)
            assert min(min(step) for step in sizes) >= 1
            assert all(max(step) - min(step) <= 1 for step in sizes)
            assert streams[0].cursor.epoch == epoch + 1


def test_which_rows_a_fill_of_all_has_does_not_depend_on_how_many_share_it(store: Path) -> None:
    """Fills of one process, one after another, are those of several, side by side."""
    found = []
    for world_size, batches in ((1, 15), (3, 5)):
        with seats(store, world_size, buffer_bytes=1 << 18) as streams:
            assert streams[0].batches_per_fill == 5 * 2
            found.append(sorted(rows(run(streams, 2 * batches))))
    assert found[0] == found[1]


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_dropping_what_is_left_over_leaves_full_batches_alone(store: Path, world_size: int) -> None:
    with seats(store, world_size, drop_last=True) as streams:
        steps = run(streams)
        assert {len(batch.row_B) for step in steps for batch in step} == {128}
        assert len(steps) == ROWS // (128 * world_size) == streams[0].batches_per_epoch
        dealt = rows(steps)
        assert len(dealt) == len(set(dealt)) == streams[0].rows
        again = rows(run(streams))
    assert set(again) != set(dealt), "another epoch leaves other rows out"


@pytest.mark.parametrize("order", ORDERS)
def test_each_process_continues_where_all_were(store: Path, order: OrderName) -> None:
    """In the middle of a fill, too: with as many processes a cursor is good anywhere."""
    with seats(store, 2, order=order) as streams:
        whole = run(streams)
    with seats(store, 2, order=order) as streams:
        run(streams, 7)
        cursor = streams[1].cursor
    assert (cursor.batch, cursor.world_size) == (7, 2)
    with seats(store, 2, cursor, order=order) as streams:
        rest = run(streams)
    for step, again in zip(whole[7:], rest, strict=True):
        assert_same(step, again)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("worlds", [(1, 2), (2, 1), (2, 3), (4, 3, 1), (3, 2, 4, 2)])
def test_other_processes_take_over_at_the_end_of_a_fill(store: Path, worlds: tuple[int, ...], order: OrderName) -> None:
    """As often as the world changes within an epoch: what was not dealt is, and nothing twice."""
    taken: list[int] = []
    cursor = None
    for turn, world_size in enumerate(worlds, start=1):
        with seats(store, world_size, cursor, batch_rows=32, order=order) as streams:
            last = turn == len(worlds)
            taken += rows(run(streams, None if last else streams[0].batches_per_fill))
            cursor = streams[0].cursor
            following = rows(run(streams)) if last else []
    assert sorted(taken) == split_rows(store, "train")
    assert sorted(following) == split_rows(store, "train"), "the next epoch begins at its beginning"


def test_the_rest_of_an_epoch_is_continued_exactly_after_a_take_over(store: Path) -> None:
    with seats(store, 1) as streams:
        run(streams, streams[0].batches_per_fill)
        cursor = streams[0].cursor
    with seats(store, 2, cursor) as streams:
        whole = run(streams)
    with seats(store, 2, cursor) as streams:
        run(streams, 3)
        middle = streams[0].cursor
    assert middle.start == cursor.batch * 128
    with seats(store, 2, middle) as streams:
        assert streams[0].cursor == middle
        for step, again in zip(whole[3:], run(streams), strict=True):
            assert_same(step, again)


def test_the_middle_of_a_fill_is_no_place_to_take_over(store: Path) -> None:
    with seats(store, 2) as streams:
        fill = streams[0].batches_per_fill
        run(streams, fill + 1)
        cursor = streams[0].cursor
    with seats(store, 3) as streams:
        message = f"batch {fill + 1} of 2 processes is in the middle of a fill; 3 can continue at a multiple of {fill}"
        with pytest.raises(CursorError, match=message):
            streams[0].seek(cursor)
        streams[0].seek(replace(cursor, batch=fill))
        assert streams[0].cursor.start == 2 * fill * 128


def test_too_few_rows_to_take_over_are_refused_as_a_position(store: Path) -> None:
    """6,657 rows are 52 batches of 128 and one row, which two processes cannot share."""
    with seats(store, 1, buffer_bytes=110_000) as streams:
        assert streams[0].batches_per_fill == 4
        cursor = replace(streams[0].cursor, batch=52)
    with seats(store, 2, buffer_bytes=110_000) as streams:
        before = streams[0].cursor
        with pytest.raises(CursorError, match=r"1 rows in batches of 128 cannot be dealt to 2 processes"):
            streams[0].seek(cursor)
        assert streams[0].cursor == before
    with seats(store, 2, replace(cursor, epoch=1, batch=0), buffer_bytes=110_000) as streams:
        assert sorted(rows(run(streams))) == split_rows(store, "train")


def test_with_drop_last_those_who_take_over_too_late_begin_the_next_epoch(store: Path) -> None:
    with seats(store, 1, drop_last=True) as streams:
        fill = streams[0].batches_per_fill
        cursor = replace(streams[0].cursor, batch=streams[0].batches_per_epoch // fill * fill - fill)
    with seats(store, 12, cursor, drop_last=True) as streams:
        assert (streams[0].cursor.epoch, streams[0].cursor.start, streams[0].cursor.batch) == (1, 0, 0)
        assert len(rows(run(streams))) == ROWS // (12 * 128) * 12 * 128


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_ranks_outside_the_world_are_refused(store: Path, rank: int, world_size: int) -> None:
    with pytest.raises(StreamError, match="rank must be in"):
        open_stream(store, seat=Seat(rank, world_size))


def test_a_world_too_large_for_the_split_is_refused(store: Path) -> None:
    with pytest.raises(StreamError, match=r"6,657 rows in batches of 128 cannot be dealt to 7000 processes"):
        open_stream(store, batch_rows=128, seat=Seat(0, 7000))
    with pytest.raises(StreamError, match=r"6,657 rows do not make one batch of 128 for each of 53 processes"):
        open_stream(store, batch_rows=128, seat=Seat(0, 53), drop_last=True)
