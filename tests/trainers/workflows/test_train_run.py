"""A run can be stopped at any moment and resumed to the same end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actstore import Batch, Silent, errors
from actstore.testing.memory_stream import MemoryStream, moments_of
from tests.trainers.in_memory import CPU, origin_of, plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.save.checkpoint import load_dictionary, newest_checkpoint
from trainers.save.run_folder import RunFolder
from trainers.workflows.train_run import Finished, Run, run_training


class Breaking(MemoryStream):
    """Fails, as a disk might, when batch number `breaks_at` is asked for."""

    breaks_at = 8

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            if (self.cursor.epoch, self.cursor.batch) > (0, self.breaks_at):
                raise OSError("the disk is gone")
            yield batch


class Spoiled(MemoryStream):
    """Gives a batch with NaN as its last."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            ended = self.cursor.batch == 0
            yield batch._replace(values_BSD=np.full_like(batch.values_BSD, np.nan)) if ended else batch


def run_in(folder: Path, stream: MemoryStream, *, resume: bool = False, checkpoint_every: int = 3) -> Run:
    return Run(
        plan=plan_of(stream, latents=64, k=4),
        origin=origin_of(stream),
        statistics=moments_of(stream.values_NSD, stream.sites),
        folder=RunFolder(folder),
        device=CPU,
        checkpoint_every=checkpoint_every,
        resume=resume,
        evaluated_on="train",
        evaluation_rows=1000,
    )


def execute(run: Run, stream: MemoryStream) -> Finished:
    return run_training(run, stream, progress=Silent())


def logged_steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def stream(one_site: Planted) -> MemoryStream:
    return stream_of(one_site.values_NSD[:3000], batch_rows=256)


def test_a_run_keeps_its_last_state_and_its_metrics(stream: MemoryStream, tmp_path: Path) -> None:
    finished = execute(run_in(tmp_path, stream), stream)
    assert (finished.state.step, finished.rows, finished.resumed_from_step) == (12, 3000, None)
    assert logged_steps(tmp_path) == list(range(1, 13))
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"step", "rows", "lr", "loss", "reconstruction", "sparsity", "auxk", "l0"} <= last.keys()
    assert {"explained_variance", "dead", "rows_per_s", "data_share"} <= last.keys()
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    dictionary, record = load_dictionary(newest)
    assert record.step == 12
    assert torch.equal(dictionary.W_dec, finished.state.dictionary.W_dec)


def test_a_broken_run_resumes_to_the_same_weights_and_metrics(
    stream: MemoryStream, one_site: Planted, tmp_path: Path
) -> None:
    whole = execute(run_in(tmp_path / "whole", stream), stream)
    breaking = Breaking(one_site.values_NSD[:3000], stream.sites, batch_rows=256)
    with pytest.raises(OSError, match="the disk is gone"):
        execute(run_in(tmp_path / "broken", breaking), breaking)
    assert logged_steps(tmp_path / "broken")[-1] == 8  # two steps after the checkpoint
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    resumed = execute(run_in(tmp_path / "broken", again, resume=True), again)
    assert resumed.resumed_from_step == 6
    assert resumed.rows == 3000 - 6 * 256
    assert logged_steps(tmp_path / "broken") == list(range(1, 13))
    for have, want in zip(resumed.state.dictionary.parameters(), whole.state.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)


def test_a_run_broken_before_its_first_checkpoint_resumes_from_the_start(one_site: Planted, tmp_path: Path) -> None:
    breaking = Breaking(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    with pytest.raises(OSError, match="the disk is gone"):
        execute(run_in(tmp_path, breaking, checkpoint_every=100), breaking)
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    finished = execute(run_in(tmp_path, again, resume=True), again)
    assert (finished.resumed_from_step, finished.rows) == (None, 3000)
    assert logged_steps(tmp_path) == list(range(1, 13))


def test_resuming_a_finished_run_does_nothing(stream: MemoryStream, tmp_path: Path) -> None:
    execute(run_in(tmp_path, stream), stream)
    again = execute(run_in(tmp_path, stream, resume=True), stream)
    assert (again.resumed_from_step, again.rows) == (12, 0)
    assert logged_steps(tmp_path) == list(range(1, 13))


def test_nothing_is_overwritten_without_resume(stream: MemoryStream, tmp_path: Path) -> None:
    execute(run_in(tmp_path, stream), stream)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(errors.CheckpointError, match="nothing is overwritten"):
        execute(run_in(tmp_path, stream), stream)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_another_run_in_the_folder_is_refused_and_left_alone(stream: MemoryStream, tmp_path: Path) -> None:
    execute(run_in(tmp_path, stream), stream)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = run_in(tmp_path, stream, resume=True)
    with pytest.raises(errors.CheckpointError, match="seed: 0 in the checkpoint, 1 now"):
        execute(replace(other, plan=other.plan.model_copy(update={"seed": 1})), stream)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint(one_site: Planted, tmp_path: Path) -> None:
    spoiled = Spoiled(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    with pytest.raises(errors.TrainingError, match="step 12: loss is nan"):
        execute(run_in(tmp_path, spoiled), spoiled)
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    dictionary, record = load_dictionary(newest)
    assert record.step == 9
    assert all(bool(torch.isfinite(parameter).all()) for parameter in dictionary.parameters())
