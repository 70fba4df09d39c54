from pathlib import Path

import pytest

from tests.trainers.report.runs import NO_RESULT, run_at
from trainers.report.density import bin_edges, density_of
from trainers.report.reported import read_run


def test_latents_are_counted_by_how_often_they_fire(tmp_path: Path) -> None:
    run = read_run(run_at(tmp_path / "a", fired=[0, 0, 0, 0, 1, 10, 100, 1000]), name="a")
    edges = bin_edges([run])
    assert (edges[-1], len(edges)) == (1.0, 16)
    assert edges[0] == pytest.approx(1e-3)
    found = density_of(run, edges)
    assert found is not None
    assert sum(found.counts) == 4
    assert [number for number, count in enumerate(found.counts) if count] == [0, 5, 10, 14]
    assert (found.silent, found.dead) == (4, 2)
    assert found.median == pytest.approx(0.01)


def test_a_run_without_counts_has_no_density(tmp_path: Path) -> None:
    unfinished = read_run(run_at(tmp_path / "a", NO_RESULT), name="a")
    assert density_of(unfinished, bin_edges([unfinished])) is None
    silent = read_run(run_at(tmp_path / "b", fired=[0] * 8), name="b")
    found = density_of(silent, bin_edges([silent]))
    assert found is not None
    assert (found.median, sum(found.counts), found.silent) == (None, 0, 8)
