"""Several runs on one stream, in memory; that one alone stops, fails and goes on is in `test_train_run`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actstore import Batch, Silent, errors
from actstore.testing.memory_stream import MemoryStream, moments_of
from tests.trainers.in_memory import origin_of, plan_of, stream_of
from tests.trainers.planted import Planted
from tests.trainers.workflows.training.test_train_run import Failing, Spoiled, execute, run_in
from trainers.fit.loop import step_on
from trainers.fit.state import TrainState
from trainers.save.checkpoint import checkpoints_of
from trainers.save.run_folder import RunFolder
from trainers.workflows.stopping import StopSignals
from trainers.workflows.training import train_run
from trainers.workflows.training.run import Finished, OwnRows, Run
from trainers.workflows.training.train_together import run_together


def together(runs: list[Run], stream: MemoryStream) -> list[Finished | errors.ActstoreError]:
    return run_together(runs, stream, title="training", progress=Silent(), signals=StopSignals())


def weights(finished: Finished | errors.ActstoreError) -> list[torch.Tensor]:
    assert isinstance(finished, Finished)
    return list(finished.state.dictionary.parameters())


@pytest.fixture
def stream(one_site: Planted) -> MemoryStream:
    return stream_of(one_site.values_NSD[:3000], batch_rows=256)


def test_runs_of_different_lengths_end_as_they_do_alone(
    stream: MemoryStream, one_site: Planted, tmp_path: Path
) -> None:
    long = run_in(tmp_path / "long", stream)
    short = replace(run_in(tmp_path / "short", stream), plan=plan_of(stream, latents=64, k=4, steps=5))
    for name, found in zip(("long", "short"), together([long, short], stream), strict=True):
        alone = stream_of(one_site.values_NSD[:3000], batch_rows=256)
        run = replace({"long": long, "short": short}[name], folder=run_in(tmp_path / "alone" / name, alone).folder)
        for have, want in zip(weights(found), weights(execute(run, alone)), strict=True):
            assert torch.equal(have, want)


def test_a_run_reads_its_own_sites_in_its_own_order(stream: MemoryStream, three_sites: Planted, tmp_path: Path) -> None:
    shared = stream_of(three_sites.values_NSD[:3000], batch_rows=256)
    sites = ("resid_post.2", "resid_post.0")
    own = MemoryStream(np.ascontiguousarray(three_sites.values_NSD[:3000, [2, 0]]), sites, batch_rows=256)
    plan = plan_of(own, dictionary="crosscoder-topk", latents=64, k=4)
    run = replace(
        run_in(tmp_path / "own", stream),
        plan=plan,
        origin=origin_of(own),
        statistics=moments_of(own.values_NSD, sites),
        own=OwnRows((2, 0), own.cursor.stream),
    )
    [found] = together([run], shared)
    alone = replace(run, own=None, folder=RunFolder(tmp_path / "alone"))
    for have, want in zip(weights(found), weights(execute(alone, own)), strict=True):
        assert torch.equal(have, want)


def test_a_batch_that_one_run_cannot_take_stops_that_run_alone(
    stream: MemoryStream, one_site: Planted, tmp_path: Path
) -> None:
    class HalfSpoiled(MemoryStream):
        """Has NaN at the second site in its last batch."""

        def __iter__(self) -> Iterator[Batch]:
            for batch in super().__iter__():
                values_BSD = np.array(batch.values_BSD)
                if self.cursor.batch == 0:
                    values_BSD[:, 1] = np.nan
                yield batch._replace(values_BSD=values_BSD)

    doubled = np.concatenate([one_site.values_NSD[:3000]] * 2, axis=1)
    shared = HalfSpoiled(doubled, ("resid_post.0", "resid_post.1"), batch_rows=256)
    runs = [
        replace(run_in(tmp_path / name, stream), own=OwnRows((column,), stream.cursor.stream))
        for column, name in enumerate(("good", "bad"))
    ]
    good, bad = together(runs, shared)
    assert isinstance(bad, errors.TrainingError)
    assert "step 12: loss is nan" in str(bad)
    assert bad.__traceback__ is None
    assert list(checkpoints_of(tmp_path / "bad/checkpoints")) == [9]
    again = stream_of(one_site.values_NSD[:3000], batch_rows=256)
    for have, want in zip(weights(good), weights(execute(run_in(tmp_path / "alone", again), again)), strict=True):
        assert torch.equal(have, want)


def test_when_every_run_has_failed_nothing_more_is_read(one_site: Planted, tmp_path: Path) -> None:
    spoiled = Spoiled(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    runs = [
        replace(run_in(tmp_path / name, spoiled), plan=plan_of(spoiled, latents=64, k=4, steps=1000)) for name in "ab"
    ]
    assert [type(found) for found in together(runs, spoiled)] == [errors.TrainingError] * 2
    assert (spoiled.cursor.epoch, spoiled.cursor.batch) == (1, 0)


def test_a_defect_that_one_run_meets_does_not_take_the_others(
    one_site: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stream_of(one_site.values_NSD, batch_rows=256)
    runs = [run_in(tmp_path / name, stream) for name in "ab"]
    met: list[TrainState] = []

    def met_by_the_first(state: TrainState, *rest: Any, **options: Any) -> Any:
        if state.step == 2 and not met:
            met.append(state)
            raise TypeError("a defect")
        return step_on(state, *rest, **options)

    monkeypatch.setattr(train_run, "step_on", met_by_the_first)
    failed, finished = together(runs, stream)
    assert isinstance(failed, errors.TrainingError)
    assert "step 3: TypeError: a defect" in str(failed)
    assert isinstance(finished, Finished)
    assert finished.state.step == runs[1].plan.steps


def test_rows_that_cannot_be_read_any_more_cost_no_step_of_any_run(one_site: Planted, tmp_path: Path) -> None:
    stream = Failing(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    runs = [run_in(tmp_path / name, stream, checkpoint_every=100) for name in "ab"]
    with pytest.raises(errors.StorageUnavailableError, match=r"Checkpoints of step 7 of 2 dictionaries are kept"):
        together(runs, stream)
    assert [list(checkpoints_of(tmp_path / name / "checkpoints")) for name in "ab"] == [[7], [7]]


def test_a_folder_that_cannot_be_written_ends_all_runs_and_the_others_are_kept(
    one_site: Planted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "spare").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spare"))

    class Full(MemoryStream):
        """Takes the folder of one run away while batch 7 is trained on."""

        def __iter__(self) -> Iterator[Batch]:
            for batch in super().__iter__():
                yield batch
                if self.cursor.batch == 6:
                    (tmp_path / "a/checkpoints").rename(tmp_path / "a/checkpoints.before")
                    (tmp_path / "a/checkpoints").write_bytes(b"")

    stream = Full(one_site.values_NSD[:3000], ("resid_post.0",), batch_rows=256)
    runs = [run_in(tmp_path / name, stream) for name in "ab"]
    with pytest.raises(errors.TrainingError, match=r"a: cannot be written: .*Step 9 is saved in "):
        together(runs, stream)
    assert 8 <= max(checkpoints_of(tmp_path / "b/checkpoints")) <= 9
