"""Consumers that come, go, fail and are killed leave nothing behind: fifteen seconds of the hour-long soak."""

import sys
from pathlib import Path

import pytest

from benchmarks.soak import soak

MEGABYTE = 1 << 20


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_memory_is_flat_and_nothing_is_left_behind(tmp_path: Path) -> None:
    report = soak(tmp_path, seconds=15, seed=7)
    assert report.rounds > 3
    assert report.rows > 10_000
    assert report.memory_growth_bytes < 16 * MEGABYTE
    assert (report.threads_left, report.mappings_left) == (0, 0)
    assert report.descriptors_left <= 0  # the process of the tests may close one of its own meanwhile
    assert report.epochs_after_kills == report.rounds // 10
