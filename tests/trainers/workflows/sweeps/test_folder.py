import json
from pathlib import Path

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.save.run_folder import RunRecord
from trainers.workflows.sweeps.folder import SweepFolder, SweepRecord

RECORD = SweepRecord(
    source="store", manifest_sha256="0" * 64, members={"a": TrainConfig(k=4), "b": TrainConfig(k=8)}, options={}
)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path / "runs/sweep")
    folder.write_record(RECORD)
    assert folder.read_record() == RECORD
    assert list(folder.read_record().members) == ["a", "b"]


def test_a_folder_without_a_sweep_or_with_a_damaged_one_is_said(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    with pytest.raises(errors.CheckpointError, match=r"no sweep to go on with, since it has no sweep\.json"):
        folder.read_record()
    document = json.loads(RECORD.model_dump_json())
    for changes, said in (
        ({"members": {"../up": {}}}, "members.*pattern"),
        ({"members": {"a": {"k": 0}}}, "members.a.k: "),
        ({"format": "actstore-sweep/9"}, "its format is not actstore-sweep/1"),
        ({"more": 1}, "more: Extra inputs"),
    ):
        folder.record.write_text(json.dumps(document | changes))
        with pytest.raises(errors.CheckpointError, match=said):
            folder.read_record()
    folder.record.write_bytes(b"\xff")
    with pytest.raises(errors.CheckpointError, match=r"sweep\.json: "):
        folder.read_record()


def test_a_folder_with_runs_is_not_free(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.check_free(RECORD.members)
    folder.member("b").begin(RunRecord(source=None, config=TrainConfig(), options={}))
    with pytest.raises(errors.CheckpointError, match="has runs of another sweep or of none: b "):
        folder.check_free(RECORD.members)
    with pytest.raises(errors.CheckpointError, match="holds an unfinished run"):
        SweepFolder(tmp_path / "b").check_free(RECORD.members)
