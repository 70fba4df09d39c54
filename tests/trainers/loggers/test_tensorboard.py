"""What TensorBoard shows."""

from pathlib import Path

import pytest

from tests.trainers.loggers.runs import line, run_in
from tests.trainers.loggers.written import curves
from trainers.loggers.tensorboard import TensorBoardLogger


def test_metrics_are_curves_over_steps_and_the_result_stands_beside_them(tmp_path: Path) -> None:
    logger = TensorBoardLogger()
    assert logger.start(run_in(tmp_path)) == 0
    for step in (1, 2, 4):
        logger.step(step, {"loss": 1.0 / step, "ev_per_site/embed": 0.5})
    logger.finish({"l0": 32.0})
    shown = curves(tmp_path)
    assert shown["loss"] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert shown["ev_per_site/embed"] == [(1, 0.5), (2, 0.5), (4, 0.5)]
    assert shown["result/l0"] == [(4, 32.0)]


def test_the_settings_are_shown_as_text(tmp_path: Path) -> None:
    logger = TensorBoardLogger()
    logger.start(run_in(tmp_path))
    logger.finish(None)
    assert b'"dictionary": "topk-sae"' in b"".join(path.read_bytes() for path in tmp_path.glob("tensorboard/events*"))


@pytest.mark.parametrize("flushed", [True, False])
def test_steps_after_the_checkpoint_are_taken_back(flushed: bool, tmp_path: Path) -> None:
    """A killed run may have written them, or not: they are done again either way."""
    killed = TensorBoardLogger()
    killed.start(run_in(tmp_path))
    for step in (1, 2):
        killed.step(step, {"loss": 1.0})
    killed.flush()
    killed.step(3, {"loss": 7.0})
    if flushed:
        killed.flush()
    again = TensorBoardLogger()
    assert again.start(run_in(tmp_path, step=2)) == 2
    again.step(3, {"loss": line(3)["loss"]})
    again.finish(None)
    assert curves(tmp_path)["loss"] == [(1, 1.0), (2, 1.0), (3, pytest.approx(1 / 3))]
    killed.finish(None)
