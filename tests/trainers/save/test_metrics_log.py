import json
from pathlib import Path

import pytest

from actstore import errors
from trainers.save.metrics_log import MetricsLog, drop_lines_after


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    with MetricsLog(path) as metrics:
        for step in (1, 2, 3):
            metrics.append({"step": step, "loss": 1 / step})
    return path


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_lines_can_be_read_while_training_runs(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "metrics.jsonl") as metrics:
        metrics.append({"step": 1})
        assert steps(tmp_path / "metrics.jsonl") == [1]


def test_a_reopened_log_continues(log: Path) -> None:
    with MetricsLog(log) as metrics:
        metrics.append({"step": 4})
    assert steps(log) == [1, 2, 3, 4]


def test_lines_after_the_checkpoint_go(log: Path) -> None:
    drop_lines_after(log, 2)
    assert steps(log) == [1, 2]


def test_a_torn_last_line_goes(log: Path) -> None:
    log.write_text(log.read_text() + '{"step": 4, "lo')
    drop_lines_after(log, 9)
    assert steps(log) == [1, 2, 3]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"loss": 1}'])
def test_a_line_that_is_not_ours_is_named(line: str, log: Path) -> None:
    log.write_text(f"{line}\n" + log.read_text())
    with pytest.raises(errors.CheckpointError, match=r"metrics.jsonl, line 1: not a JSON object with a step"):
        drop_lines_after(log, 2)


def test_no_log_is_no_fault(tmp_path: Path) -> None:
    drop_lines_after(tmp_path / "metrics.jsonl", 2)


def test_nothing_is_appended_through_a_link(log: Path) -> None:
    before = log.read_bytes()
    (log.parent / "link.jsonl").symlink_to(log)
    with pytest.raises(errors.TrainingError, match=r"link\.jsonl is a symbolic link"):
        MetricsLog(log.parent / "link.jsonl")
    assert log.read_bytes() == before
