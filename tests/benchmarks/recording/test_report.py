"""A run is written, or refused with its figures printed, or only looked at."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.recording import report
from benchmarks.recording.processes import Machine
from benchmarks.recording.quiet import NotTrustworthyError, Reading, Watch
from benchmarks.recording.report import Recording, add_look_only

RESULTS = {"ratio": 2.5, "rounds": [1, 2, 3]}


def watch_of(*foreign_s: float) -> Callable[[], Watch]:
    """Return what begins a watch: foreign CPU seconds of each hundred before the run, then during it."""
    busy = [0.0, foreign_s[0], sum(foreign_s)]
    readings = [Reading(Machine(busy_s, 0.0, 0.0, 100.0 * turn), 0.0) for turn, busy_s in enumerate(busy)]
    return lambda: Watch(lambda _: readings.pop(0) if len(readings) > 1 else readings[0], look_s=0.0)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Pretend that these commits are checked out, one after the other; `dirty` is a tree with changes."""
    found = ["abc1234"]

    def refuse(_: Path) -> None:
        if found[0] == "dirty":
            raise NotTrustworthyError("1 tracked files differ; commit first")

    monkeypatch.setattr(report, "commit_of", lambda _: found.pop(0) if len(found) > 1 else found[0])
    monkeypatch.setattr(report, "refuse_dirty", refuse)
    return found


def recording(folder: Path, watch: Callable[[], Watch], *, look_only: bool = False) -> Recording:
    return Recording("some", look_only=look_only, watch=watch, repository=folder, results=folder / "results")


@pytest.mark.usefixtures("commits")
def test_a_quiet_run_is_written_with_its_load_and_commit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recording(tmp_path, watch_of(1, 2)).finish(RESULTS, long=("rounds",))
    assert path is not None
    written = json.loads(path.read_text())
    assert written["commit"] == "abc1234"
    assert (written["load"]["cpu_load_before"], written["load"]["cpu_foreign"]) == (0.01, 0.02)
    assert {field: written[field] for field in RESULTS} == RESULTS
    assert json.loads(capsys.readouterr().out) == {"ratio": 2.5}


@pytest.mark.usefixtures("commits")
def test_a_busy_machine_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"some: nothing was measured: before the run, 40\.0%.*at most 5%"):
        recording(tmp_path, watch_of(40, 0))


def test_a_tree_with_changes_is_refused_before_anything_is_measured(tmp_path: Path, commits: list[str]) -> None:
    commits[:] = ["dirty"]
    with pytest.raises(SystemExit, match=r"some: nothing was measured: .*commit first"):
        recording(tmp_path, watch_of(0, 0))


@pytest.mark.usefixtures("commits")
def test_a_disturbed_run_is_printed_and_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    running = recording(tmp_path, watch_of(0, 30))
    with pytest.raises(SystemExit, match=r"the figures above are not written: during the run, 30\.0%"):
        running.finish(RESULTS, long=("rounds",))
    printed = json.loads(capsys.readouterr().out)
    assert (printed["rounds"], printed["load"]["cpu_foreign"]) == ([1, 2, 3], 0.3)
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("commits")
def test_a_run_without_times_is_written_on_a_busy_machine_with_its_load(tmp_path: Path) -> None:
    running = Recording(
        "some", look_only=False, timed=False, watch=watch_of(40, 30), repository=tmp_path, results=tmp_path
    )
    path = running.finish(RESULTS)
    assert path is not None
    load = json.loads(path.read_text())["load"]
    assert (load["cpu_load_before"], load["cpu_foreign"]) == (0.4, 0.3)


def test_a_run_without_times_is_of_a_commit(tmp_path: Path, commits: list[str]) -> None:
    commits[:] = ["dirty"]
    with pytest.raises(SystemExit, match=r"some: nothing was measured: .*commit first"):
        Recording("some", look_only=False, timed=False, watch=watch_of(0, 0), repository=tmp_path, results=tmp_path)


def test_a_tree_that_changes_during_the_run_is_not_written(tmp_path: Path, commits: list[str]) -> None:
    commits[:] = ["before", "later"]
    running = recording(tmp_path, watch_of(0, 0))
    with pytest.raises(SystemExit, match="commit before was checked out before the run and later after it"):
        running.finish(RESULTS)
    assert not (tmp_path / "results").exists()


def test_looking_refuses_nothing_and_writes_nothing(
    tmp_path: Path, commits: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    commits[:] = ["dirty"]
    assert recording(tmp_path, watch_of(50, 50), look_only=True).finish(RESULTS, long=("rounds",)) is None
    assert json.loads(capsys.readouterr().out)["rounds"] == [1, 2, 3]
    assert not (tmp_path / "results").exists()


def test_every_script_offers_to_look_only() -> None:
    parser = argparse.ArgumentParser()
    add_look_only(parser)
    assert parser.parse_args([]).no_write is False
    assert parser.parse_args(["--no-write"]).no_write is True
