"""A disk that cannot hold the checkpoints is noticed before anything is trained."""

from pathlib import Path

import pytest

from actstore import errors
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.plan import TrainPlan
from trainers.save.checkpoint import checkpoint_bytes
from trainers.save.run_folder import RunFolder
from trainers.workflows.room import check_room


@pytest.fixture
def plan(one_site: Planted) -> TrainPlan:
    return plan_of(stream_of(one_site.values_NSD), latents=256, steps=100)


def free(bytes_free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = bytes_free

    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage())


def test_the_message_has_the_numbers_and_ways_out(
    plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = checkpoint_bytes(plan)
    free(4 * one - 1, monkeypatch)
    with pytest.raises(errors.TrainingError) as refusal:
        check_room(RunFolder(tmp_path / "a/b"), plan, keep=3, checkpoint_every=10)
    assert f"need {4 * one:,} bytes, and {4 * one - 1:,} are free" in str(refusal.value)
    assert "--keep 1, or give another --out" in str(refusal.value)
    free(4 * one, monkeypatch)
    check_room(RunFolder(tmp_path / "a/b"), plan, keep=3, checkpoint_every=10)


def test_a_run_with_few_checkpoints_needs_few(plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(checkpoint_bytes(plan), monkeypatch)
    check_room(RunFolder(tmp_path), plan, keep=3, checkpoint_every=1000)


def test_a_resumed_run_has_room_for_the_checkpoints_that_are_there(
    plan: TrainPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20, 30):
        (tmp_path / f"checkpoints/step-{step:09d}").mkdir(parents=True)
    free(checkpoint_bytes(plan), monkeypatch)
    check_room(RunFolder(tmp_path), plan, keep=3, checkpoint_every=10)
