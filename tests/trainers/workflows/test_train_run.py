"""A run can be stopped at any moment and resumed to the same end."""

import json
import os
import re
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actstore import Batch, Silent, errors
from actstore.testing.memory_stream import MemoryStream, moments_of
from tests.trainers.in_memory import CPU, origin_of, plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.config import TrainConfig
from trainers.save.checkpoint import load_dictionary, newest_checkpoint, read_record
from trainers.save.run_folder import RunFolder, RunRecord
from trainers.score.held_out import hold_out
from trainers.workflows.options import RunOptions
from trainers.workflows.resume import SavedRun
from trainers.workflows.stopping import StopSignals
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


def run_in(folder: Path, stream: MemoryStream, *, resume: Path | None = None, latents: int = 64, **options: Any) -> Run:
    """A run of 12 steps; `resume` is the folder of a run to go on with."""
    plan = plan_of(stream, latents=latents, k=4)
    options = {"checkpoint_every": 3, "keep": 1} | options
    saved = None
    if resume is not None:
        newest = newest_checkpoint(resume / "checkpoints")
        saved = SavedRun(RunFolder(resume), newest, None if newest is None else read_record(newest))
    return Run(
        plan=plan,
        origin=origin_of(stream),
        statistics=moments_of(stream.values_NSD, stream.sites),
        folder=RunFolder(folder),
        record=RunRecord(source="memory", config=TrainConfig(), options={}),
        options=RunOptions(**options),
        device=CPU,
        saved=saved,
        held_out=None,
        eval_every=5,
        evaluated_on="train",
    )


def execute(run: Run, stream: MemoryStream, signals: StopSignals | None = None) -> Finished:
    return run_training(run, stream, progress=Silent(), signals=signals or StopSignals())


def logged_steps(folder: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def stream(one_site: Planted) -> MemoryStream:
    return stream_of(one_site.values_NSD[:3000], batch_rows=256)


def test_a_run_keeps_its_last_state_and_its_metrics(stream: MemoryStream, tmp_path: Path) -> None:
    finished = execute(run_in(tmp_path, stream), stream)
    assert (finished.state.step, finished.rows) == (12, 3000)
    assert logged_steps(tmp_path) == list(range(1, 13))
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"step", "rows", "lr", "loss", "reconstruction", "auxk", "batch_l0"} <= last.keys()
    assert {"batch_explained_variance", "dead", "rows_per_s", "data_share"} <= last.keys()
    assert "explained_variance" not in last  # nothing was held out
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
    run = run_in(tmp_path / "broken", again, resume=tmp_path / "broken")
    assert run.resumed_from_step == 6
    resumed = execute(run, again)
    assert resumed.rows == 3000 - 6 * 256
    assert logged_steps(tmp_path / "broken") == list(range(1, 13))
    for have, want in zip(resumed.state.dictionary.parameters(), whole.state.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)


def test_a_run_broken_before_its_first_checkpoint_resumes_from_the_start(one_site: Planted, tmp_path: Path) -> None:
    breaking = Breaking(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    with pytest.raises(OSError, match="the disk is gone"):
        execute(run_in(tmp_path, breaking, checkpoint_every=100), breaking)
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    run = run_in(tmp_path, again, resume=tmp_path)
    assert (run.resumed_from_step, execute(run, again).rows) == (None, 3000)
    assert logged_steps(tmp_path) == list(range(1, 13))


def test_resuming_a_finished_run_does_nothing(stream: MemoryStream, tmp_path: Path) -> None:
    execute(run_in(tmp_path, stream), stream)
    run = run_in(tmp_path, stream, resume=tmp_path)
    assert (run.resumed_from_step, execute(run, stream).rows) == (12, 0)
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
    other = run_in(tmp_path, stream, resume=tmp_path)
    with pytest.raises(errors.CheckpointError, match="seed: 0 in the checkpoint, 1 now"):
        execute(replace(other, plan=other.plan.model_copy(update={"seed": 1})), stream)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_loss_that_is_not_finite_leaves_the_last_checkpoint(one_site: Planted, tmp_path: Path) -> None:
    spoiled = Spoiled(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    with pytest.raises(
        errors.TrainingError, match=r"step 12: loss is nan.*The last good checkpoint is .*step-000000009$"
    ):
        execute(run_in(tmp_path, spoiled), spoiled)
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    dictionary, record = load_dictionary(newest)
    assert record.step == 9
    assert all(bool(torch.isfinite(parameter).all()) for parameter in dictionary.parameters())


class Starving(MemoryStream):
    """Gives an eleventh batch of three times the rows, and leaves the process no memory for them."""

    def __iter__(self) -> Iterator[Batch]:
        for number, batch in enumerate(super().__iter__()):
            if number == 10:
                used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
                resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), resource.RLIM_INFINITY))
            values_BSD = np.concatenate([batch.values_BSD] * (3 if number == 10 else 1))
            yield batch._replace(values_BSD=values_BSD)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is limited as Linux does it")
def test_a_step_without_memory_says_what_would_fit(one_site: Planted, tmp_path: Path) -> None:
    # Pre-activations of 40 MB, then 120: glibc asks the system for as much.
    rows = Starving(one_site.values_NSD, ("resid_post.0",), batch_rows=300)
    try:
        said = (
            r"step 11: out of memory on cpu with 300 rows and 32,768 latents; .* would fit. The last good checkpoint is"
        )
        with pytest.raises(errors.TrainingError, match=said):
            execute(run_in(tmp_path, rows, latents=32_768), rows)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class Collapsing(MemoryStream):
    """From some batch on gives rows of another kind, for which the dictionary is worse than the mean."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            bad = (self.cursor.epoch, self.cursor.batch) > (5, 0)
            yield batch._replace(values_BSD=batch.values_BSD * -10) if bad else batch


def test_a_run_that_falls_apart_is_ended_and_its_last_good_checkpoint_is_kept(
    one_site: Planted, tmp_path: Path
) -> None:
    stream = Collapsing(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    run = run_in(tmp_path, stream, checkpoint_every=5)
    run = replace(run, plan=plan_of(stream, latents=64, k=4, steps=200, lr=1e-3))
    message = r"training fell apart: the explained variance fell from 0\.\d+ to -?0\.0\d+.*lower --lr \(now 0\.001\)"
    with pytest.raises(errors.TrainingError, match=message) as failure:
        execute(run, stream)
    good = tmp_path / "checkpoints/step-000000060"  # the fifth epoch ended there
    assert str(failure.value).endswith(f"The last good checkpoint is {good}")
    assert load_dictionary(good)[1].step == 60


class Unreachable(MemoryStream):
    """Cannot read the first batch of its sixth epoch."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            if (self.cursor.epoch, self.cursor.batch) > (5, 0):
                raise errors.StorageUnavailableError("s3://b: the storage failed at every attempt")
            yield batch


def test_a_resumed_run_knows_how_good_it_was(one_site: Planted, tmp_path: Path) -> None:
    def go_on(kind: type[MemoryStream], resume: Path | None) -> None:
        stream = kind(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
        run = run_in(tmp_path, stream, resume=resume, checkpoint_every=5)
        execute(replace(run, plan=plan_of(stream, latents=64, k=4, steps=200, lr=1e-3)), stream)

    with pytest.raises(errors.StorageUnavailableError):
        go_on(Unreachable, None)
    with pytest.raises(errors.TrainingError, match=r"fell apart: .* from 0\.\d+ to -?0\.0\d+.*step-000000060$"):
        go_on(Collapsing, tmp_path)


class Ending(MemoryStream):
    """Waits for batch 9 when the run is told to stop, and is closed as `Stream` is."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield batch
            if self.cursor.batch == 8:
                os.kill(os.getpid(), signal.SIGTERM)
                raise errors.StreamError("this iteration was ended by a close")


def test_a_run_that_is_told_to_stop_keeps_the_step_in_hand(one_site: Planted, tmp_path: Path) -> None:
    stream = Ending(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    signals = StopSignals()
    with signals.listening():
        finished = execute(run_in(tmp_path, stream, checkpoint_every=100), stream, signals)
    assert finished.state.step == 8
    newest = newest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert load_dictionary(newest)[1].step == 8
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    resumed = execute(run_in(tmp_path, again, resume=tmp_path), again)
    whole = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    expected = execute(run_in(tmp_path / "whole", whole), whole)
    for have, want in zip(resumed.state.dictionary.parameters(), expected.state.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)


class Failing(MemoryStream):
    """Cannot read its eighth batch."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            if self.cursor.batch == 8:
                raise errors.StorageUnavailableError("s3://b: the storage failed at every attempt")
            yield batch


def test_rows_that_cannot_be_read_any_more_cost_no_step(one_site: Planted, tmp_path: Path) -> None:
    stream = Failing(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    with pytest.raises(errors.StorageUnavailableError, match=r"failed at every attempt\. .*step-000000007$"):
        execute(run_in(tmp_path, stream, checkpoint_every=100), stream)


def test_held_out_rows_are_scored_now_and_then_and_logged(stream: MemoryStream, tmp_path: Path) -> None:
    run = replace(run_in(tmp_path, stream), held_out=hold_out(stream_of(stream.values_NSD), max_rows=500))
    execute(run, stream)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scored = {line["step"]: line["explained_variance"] for line in lines if "evaluated_on" in line}
    assert list(scored) == [5, 10, 12]
    assert scored[5] < scored[12] < 1
    assert execute(run_in(tmp_path / "without", stream), stream).rows == 3000


class Full(MemoryStream):
    """Fills the disk, as far as the run can tell, while batch 7 is trained on."""

    folder = Path()

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            yield batch
            if self.cursor.batch == 6:
                (self.folder / "checkpoints").rename(self.folder / "checkpoints.before")
                (self.folder / "checkpoints").write_bytes(b"")


def test_what_cannot_be_written_is_put_elsewhere_and_goes_on_from_there(
    one_site: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))
    stream = Full(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    stream.folder = tmp_path / "run"
    with pytest.raises(errors.TrainingError, match=r"run: cannot be written: .*Step 9 is saved in ") as failure:
        execute(run_in(tmp_path / "run", stream), stream)
    printed = re.search(r"trainer read-from-store --resume (\S+) --out FOLDER$", str(failure.value))
    assert printed is not None
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    run = run_in(tmp_path / "elsewhere", again, resume=Path(printed[1]))
    assert run.resumed_from_step == 9
    assert execute(run, again).state.step == 12
    assert logged_steps(tmp_path / "elsewhere") == list(range(1, 13))
