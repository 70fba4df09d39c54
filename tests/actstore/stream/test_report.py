"""What a stream says of itself."""

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.stream import report as module
from actstore.stream.report import Meter

FOUR_OF_TWO = np.array([0, 0, 4])
"""Four sequences of two rows each."""


class Clock:
    """Time that passes only when told to."""

    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def rows(*numbers: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    row_B = np.array(numbers)
    return row_B, row_B // 2


def test_time_is_the_consumers_or_the_streams(clock: Clock) -> None:
    meter = Meter(lambda: FOUR_OF_TWO, 2, process="one process")
    meter.begin()
    for making, using in ((3.0, 10.0), (1.0, 6.0)):
        clock.now += making
        meter.delivered(*rows(0, 3), row_bytes=50)
        clock.now += using
        meter.asked()
    report = meter.report(path="mapped", wait_s=1.0)
    assert (report.path, report.rows, report.bytes) == ("mapped", 4, 200)
    assert (report.seconds, report.batch_s, report.wait_s) == (20.0, 4.0, 1.0)
    assert (report.rows_per_s, report.batch_share, report.wait_share) == (0.2, 0.2, 0.05)


def test_time_between_epochs_does_not_count(clock: Clock) -> None:
    meter = Meter(lambda: FOUR_OF_TWO, 2, process="one process")
    for _epoch in range(2):
        meter.begin()
        clock.now += 1.0
        meter.delivered(*rows(0, 3), row_bytes=50)
        meter.asked()
        clock.now += 1000.0
    assert meter.report(path="mapped", wait_s=0.0).seconds == 2.0


def test_nothing_delivered_is_no_division_by_zero() -> None:
    report = Meter(lambda: FOUR_OF_TWO, 2, process="one process").report(path="buffered", wait_s=0.0)
    assert (report.rows, report.bytes, report.seconds) == (0, 0, 0.0)
    assert (report.rows_per_s, report.wait_share, report.batch_share) == (0.0, 0.0, 0.0)
    assert report.mixing is None


def test_the_mixing_of_one_batch_in_eight_is_looked_at() -> None:
    meter = Meter(lambda: FOUR_OF_TWO, 2, process="one process")
    meter.begin()
    for turn in range(17):
        meter.delivered(*(rows(0, 1) if turn % 8 == 0 else rows(0, 5)), row_bytes=1)
    mixing = meter.report(path="mapped", wait_s=0.0).mixing
    assert mixing is not None
    assert (mixing.batches, mixing.distinct_sequences, mixing.neighbours) == (3, 1.0, 0.5)
    # Of eight rows in pairs: 1 + P(the second is of another pair) = 1 + 6/7.
    assert mixing.distinct_sequences_uniform == pytest.approx(13 / 7)
