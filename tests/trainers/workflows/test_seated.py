import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from actstore import Batch, Cursor, Seat, errors, open_stream
from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import CPU, stream_of
from tests.trainers.planted import plant
from trainers.workflows.ranks import Ranks
from trainers.workflows.seated import SeatedSource, go_to, stop_together
from trainers.workflows.stopping import StopSignals

TWO = Ranks(rank=0, size=2, local_size=2)


def seated(stream: MemoryStream, signals: StopSignals | None = None) -> SeatedSource:
    return SeatedSource(stream, TWO, signals or StopSignals(), CPU)


def test_a_batch_is_that_of_all_processes() -> None:
    stream = stream_of(plant(rows=1000).values_NSD, batch_rows=300)
    source = seated(stream)
    assert (source.batch_rows, source.rows, source.batches_per_epoch) == (600, 1000, 4)
    assert (source.sites, source.width, source.cursor) == (stream.sites, stream.width, stream.cursor)
    assert [len(batch.values_BSD) for batch in source] == [300, 300, 300, 100]


def test_after_a_signal_no_further_batch_comes() -> None:
    signals = StopSignals()
    batches = iter(seated(stream_of(plant(rows=1000).values_NSD, batch_rows=300), signals))
    next(batches)
    signals.request(signal.SIGTERM)
    with pytest.raises(errors.StreamError, match="told to stop"):
        next(batches)
    assert signals.stopped().exit_code == 143


def test_after_the_last_step_a_signal_is_still_noticed() -> None:
    signals = StopSignals()
    stop_together(signals, CPU)
    assert not signals.requested
    signals.request(signal.SIGINT)
    stop_together(signals, CPU)
    assert signals.number == signal.SIGINT


def test_a_process_that_cannot_read_fails_with_its_own_error() -> None:
    class Lost(MemoryStream):
        def __iter__(self) -> Iterator[Batch]:
            raise errors.MissingObjectError("the shard is gone")

    with pytest.raises(errors.MissingObjectError, match="the shard is gone"):
        next(iter(seated(Lost(plant(rows=600).values_NSD, ("resid_post.0",), batch_rows=300))))


def rows_left(store: Path, cursor: Cursor, *, rows: int, seats: int) -> list[list[int]]:
    """The rows of the rest of an epoch, for each of several processes that go on there."""
    left: list[list[int]] = []
    for rank in range(seats):
        with open_stream(store, batch_rows=512 // seats, buffer_bytes=1 << 20, seat=Seat(rank, seats)) as stream:
            go_to(stream, cursor, rows=rows)
            left.append([int(row) for batch in stream for row in batch.row_B])
    return left


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (4, 2), (2, 2)])
def test_another_number_of_processes_goes_on_behind_the_rows_trained_on(store: Path, before: int, after: int) -> None:
    with open_stream(store, batch_rows=512 // before, buffer_bytes=1 << 20, seat=Seat(0, before)) as stream:
        every, steps = stream.rows, 3
        for _ in zip(range(steps), stream, strict=False):
            pass
        cursor = stream.cursor
    left = rows_left(store, cursor, rows=steps * 512, seats=after)
    assert sum(map(len, left)) == every - steps * 512
    assert len(set().union(*left)) == every - steps * 512, "none of them comes twice"


def test_a_rest_too_small_for_every_process_is_left_out(store: Path) -> None:
    with open_stream(store, batch_rows=256, seat=Seat(0, 2)) as stream:
        cursor = Cursor(0, 0, 1, world_size=1, stream="another")
        go_to(stream, cursor, rows=2 * stream.rows - 1)
        assert (stream.cursor.epoch, stream.cursor.start) == (2, 0)


def test_at_the_end_of_an_epoch_the_next_one_begins(store: Path) -> None:
    with open_stream(store, batch_rows=512) as stream:
        go_to(stream, Cursor(1, 0, 0, world_size=2, stream="another"), rows=stream.rows)
        assert (stream.cursor.epoch, stream.cursor.start, stream.cursor.batch) == (1, 0, 0)
