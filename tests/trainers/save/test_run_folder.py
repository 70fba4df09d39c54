import json
from pathlib import Path

import pytest

from actstore import errors
from trainers.save.run_folder import RunFolder


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").begin()
    with pytest.raises(errors.CheckpointError, match="the folder holds an unfinished run and nothing is overwritten"):
        RunFolder(tmp_path / "run").begin()


def test_a_finished_run_is_not_overwritten_either(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin()
    (folder.checkpoints / "step-000000012").mkdir()
    folder.write_result({"steps": 12})
    assert json.loads(folder.result.read_text()) == {"steps": 12}
    with pytest.raises(errors.CheckpointError, match=r"holds a finished run \(newest checkpoint step-0+12\)"):
        folder.begin()


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match="no run to resume; leave out --resume"):
        RunFolder(tmp_path / "typo").newest_checkpoint()


def test_a_run_stopped_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin()
    assert folder.newest_checkpoint() is None
