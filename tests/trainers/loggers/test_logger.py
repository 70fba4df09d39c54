"""What every logger of the table does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.trainers.loggers.runs import line, run_in
from tests.trainers.loggers.written import curves, history
from trainers.loggers.logger import scalars
from trainers.loggers.several import Loggers
from trainers.loggers.table import LOGGERS


def steps_of_tensorboard(run: Path) -> list[int]:
    return [step for step, _ in curves(run)["loss"]]


def steps_of_wandb(run: Path) -> list[int]:
    return [row["step"] for row in history(run)]


STEPS: dict[str, Callable[[Path], list[int]]] = {"tensorboard": steps_of_tensorboard, "wandb": steps_of_wandb}


def test_every_logger_is_tried_here() -> None:
    assert STEPS.keys() == LOGGERS.keys()


def test_numbers_are_passed_on_and_nothing_else() -> None:
    metrics = {
        "step": 1,
        "loss": 2,
        "bad": float("inf"),
        "name": "valid",
        "ok": True,
        "per_site": {"a": 0.5, "b": None},
    }
    assert scalars(metrics) == {"loss": 2.0, "per_site/a": 0.5}


@pytest.mark.parametrize("name", LOGGERS)
def test_each_step_is_there_once(name: str, tmp_path: Path) -> None:
    with Loggers([name]) as loggers:
        loggers.start(run_in(tmp_path))
        for step in (1, 2, 3):
            loggers.step(line(step))
        loggers.finish({"explained_variance": 0.9})
    assert STEPS[name](tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("name", LOGGERS)
def test_a_run_that_goes_on_has_no_step_twice_and_none_is_missing(name: str, tmp_path: Path) -> None:
    """It was killed after step 6, with a checkpoint of step 4; metrics.jsonl has the lines up to there."""
    first = Loggers([name])
    first.start(run_in(tmp_path))
    for step in range(1, 7):
        first.step(line(step))
        if step == 4:
            first.flush()
    first.finish(None)
    with Loggers([name]) as again:
        again.start(run_in(tmp_path, step=4), [line(step) for step in range(1, 5)])
        for step in range(5, 9):
            again.step(line(step))
        again.finish({})
    assert STEPS[name](tmp_path) == list(range(1, 9))


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_that_comes_later_receives_the_steps_before(name: str, tmp_path: Path) -> None:
    with Loggers([name]) as loggers:
        loggers.start(run_in(tmp_path, step=2), [line(1), line(2)])
        loggers.step(line(3))
        loggers.finish({})
    assert STEPS[name](tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("name", LOGGERS)
def test_nothing_is_written_through_a_link(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """`RunFolder.check_free` refuses such a folder before a run; this is for one that comes later."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with Loggers([name]) as loggers:
        loggers.start(run_in(tmp_path / "run"))
        loggers.step(line(1))
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "is a symbolic link" in caplog.text
