"""What became of members, also when somebody asks a second time; training them is in `test_sweep`."""

import json
from pathlib import Path

import pytest

from actstore import errors
from trainers.save.run_folder import RunFolder
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store
from trainers.workflows.sweep import SweepResult, sweep

TWO = "sites = 'resid_post.3'\nlatents = 64\nbatch_rows = 256\nsteps = 30\nk = 4\n[[grid]]\nlr = [0.001, 1e6]\n"
GOOD, BAD = "lr0.001", "lr1000000.0"


@pytest.fixture
def swept(store: Path, tmp_path: Path) -> SweepResult:
    (tmp_path / "two.toml").write_text(TWO)
    return sweep(store, tmp_path / "two.toml", RunOptions(out=tmp_path / "two", device="cpu"))


def test_a_failure_is_written_beside_the_run_and_not_tried_again(swept: SweepResult, tmp_path: Path) -> None:
    bad = RunFolder(tmp_path / "two" / BAD)
    reason = bad.read_failure()
    assert reason == swept.failed[BAD]
    assert not bad.result.exists()
    before = bad.metrics.read_bytes()
    again = sweep(None, None, RunOptions(resume=tmp_path / "two"))
    assert (again.finished, again.failed) == (1, {BAD: reason})
    assert bad.metrics.read_bytes() == before


def test_a_member_that_was_finished_alone_counts_as_finished(swept: SweepResult, tmp_path: Path) -> None:
    good = RunFolder(tmp_path / "two" / GOOD)
    good.result.unlink()
    alone = read_from_store(None, None, RunOptions(resume=good.path))
    again = sweep(None, None, RunOptions(resume=tmp_path / "two"))
    assert again.members[GOOD] == json.loads(json.dumps(alone.document()))


def test_a_useless_dictionary_has_a_result_and_a_failure(swept: SweepResult, tmp_path: Path) -> None:
    good = RunFolder(tmp_path / "two" / GOOD)
    document = good.read_result()
    assert document is not None
    good.write_result(document | {"explained_variance": -0.25})
    again = sweep(None, None, RunOptions(resume=tmp_path / "two"))
    assert again.finished == 1
    assert "the explained variance is -0.250, below that of the mean of the rows" in again.failed[GOOD]


def test_a_damaged_result_is_said(swept: SweepResult, tmp_path: Path) -> None:
    result = tmp_path / "two" / GOOD / "result.json"
    for text in ("{", "[1]"):
        result.write_text(text)
        with pytest.raises(errors.CheckpointError, match=r"result\.json: not .*resume the run"):
            sweep(None, None, RunOptions(resume=tmp_path / "two"))
