"""A report reads what is there, of finished and unfinished runs, and says what is damaged."""

import json
from pathlib import Path

import pytest
import torch

from actstore import errors
from tests.trainers.report.runs import NO_RESULT, run_at
from trainers.fit.config import TrainConfig
from trainers.report.reported import read_run
from trainers.save.latents import LatentCounts, write_latents
from trainers.save.run_folder import RunFolder


def test_a_finished_run_is_read_as_it_is(tmp_path: Path) -> None:
    run = read_run(run_at(tmp_path / "a"), name="a")
    assert (run.state, run.source, run.store, run.sites) == ("finished", "/data/store", "0" * 64, ("resid_post.0",))
    assert run.result is not None
    assert (run.result.explained_variance, run.result.l0) == (0.9, 4.0)
    assert len(run.curve) == 8
    assert run.curve[3].explained_variance == pytest.approx(0.65)
    assert run.curve[4].explained_variance is None
    assert run.curve[1].dead == 6 / 8
    assert run.latents is not None
    settings = run.settings()
    assert (settings["latents"], settings["k"], settings["order_seed"]) == (8, 4, 0)
    assert settings["lr"] == pytest.approx(5e-3 * (1024 / 8) ** 0.5)


def test_states_say_how_far_a_run_has_come(tmp_path: Path) -> None:
    begun = run_at(tmp_path / "begun", NO_RESULT)
    assert read_run(begun, name="begun").state == "0 of 10 steps"
    begun.write_failure(3, "step 3: loss is nan")
    assert read_run(begun, name="begun").state == "failed"
    assert read_run(begun, name="begun").failure == "step 3: loss is nan"
    worse = run_at(tmp_path / "worse", {"explained_variance": -1.0})
    assert read_run(worse, name="worse").state == "worse than the mean"
    nothing = read_run(RunFolder(tmp_path / "later"), name="later", config=TrainConfig(k=3))
    assert (nothing.state, nothing.sites, nothing.settings()["k"]) == ("not begun", ("all",), 3)
    assert "lr" not in nothing.settings()


def test_the_line_that_a_killed_run_was_writing_is_left_out(tmp_path: Path) -> None:
    folder = run_at(tmp_path / "a", NO_RESULT)
    with folder.metrics.open("a") as file:
        file.write('{"step": 9, "ro')
    assert len(read_run(folder, name="a").curve) == 8


LINES = ["{", "[]", "{}", '{"rows": 1, "batch_l0": "x"}', '{"rows": 1, "dead": NaN}', '{"rows": 1e999}', "[" * 9999]


@pytest.mark.parametrize("line", LINES)
def test_a_damaged_line_of_metrics_is_named(line: str, tmp_path: Path) -> None:
    folder = run_at(tmp_path / "a")
    folder.metrics.write_text(line + "\n")
    with pytest.raises(errors.CheckpointError, match=r"metrics\.jsonl, line 1: not the metrics of a step"):
        read_run(folder, name="a")


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    folder = run_at(tmp_path / "a")
    document = json.loads(folder.result.read_text())
    for changes in ({"l0": "many"}, {"l0": -1}, {"silent_fraction": 3}, {"evaluated_rows": 0}):
        folder.result.write_text(json.dumps(document | changes))
        with pytest.raises(errors.CheckpointError, match=rf"result\.json: {next(iter(changes))}: "):
            read_run(folder, name="a")


def test_counts_of_another_dictionary_are_refused(tmp_path: Path) -> None:
    folder = run_at(tmp_path / "a")
    write_latents(folder.latents, LatentCounts(torch.zeros(3, dtype=torch.int64), torch.zeros(3, dtype=torch.int64)))
    with pytest.raises(errors.CheckpointError, match="counts of 3 latents, and the dictionary has 8"):
        read_run(folder, name="a")
    folder.latents.unlink()
    assert read_run(folder, name="a").latents is None


def test_a_folder_without_a_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match=r"it has no run\.json"):
        read_run(RunFolder(tmp_path), name="a")
