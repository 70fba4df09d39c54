import json
from pathlib import Path

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.save.run_folder import RunFolder, RunRecord, claim_new_folder

RECORD = RunRecord(source="/store", config=TrainConfig(latents=64), options={"device": "cpu"})


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").begin(RECORD)
    with pytest.raises(errors.CheckpointError, match="the folder holds an unfinished run and nothing is overwritten"):
        RunFolder(tmp_path / "run").begin(RECORD)


def test_a_finished_run_is_not_overwritten_either(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECORD)
    (folder.checkpoints / "step-000000012").mkdir()
    folder.write_result({"steps": 12})
    assert json.loads(folder.result.read_text()) == {"steps": 12}
    with pytest.raises(errors.CheckpointError, match=r"holds a finished run \(newest checkpoint step-0+12\)"):
        folder.begin(RECORD)


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match=r"typo: no run to resume, since it has no run\.json"):
        RunFolder(tmp_path / "typo").read_record()


def test_a_run_knows_what_was_asked_for(tmp_path: Path) -> None:
    RunFolder(tmp_path).begin(RECORD)
    record = RunFolder(tmp_path).read_record()
    assert record == RECORD
    assert record.config.latents == 64


@pytest.mark.parametrize("data", [b"", b"{", b'{"format": "actstore-run/9"}', b"[" * 100_000])
def test_a_damaged_record_is_named(data: bytes, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECORD)
    folder.record.write_bytes(data)
    with pytest.raises(errors.CheckpointError, match=r"run\.json: "):
        folder.read_record()


def test_folders_claimed_at_the_same_time_differ(tmp_path: Path) -> None:
    names = [claim_new_folder(tmp_path / "runs" / "a").name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]


def test_the_last_good_checkpoint_is_the_newest_up_to_a_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECORD)
    for step in (3, 6, 9):
        (folder.checkpoints / f"step-{step:09d}").mkdir()
    names = [path and path.name for path in map(folder.last_good_checkpoint, (2, 6, 8, 100, None))]
    assert names == [None, "step-000000006", "step-000000006", "step-000000009", None]


def test_a_run_stopped_before_its_first_checkpoint_begins_again(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.begin(RECORD)
    assert folder.newest_checkpoint() is None


@pytest.mark.parametrize("name", ["checkpoints", "metrics.jsonl"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_link_in_the_folder_is_refused_before_anything_is_trained(name: str, resume: bool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.TrainingError, match=f"{name} is a symbolic link"):
        RunFolder(tmp_path / "run").read_record() if resume else RunFolder(tmp_path / "run").check_free()


def test_a_folder_reached_through_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    folder = RunFolder(tmp_path / "run")
    folder.check_free()
    folder.begin(RECORD)
    folder.write_result({"steps": 1})
    assert (tmp_path / "disk" / "result.json").is_file()


@pytest.mark.parametrize("name", ["result.json", ".result.json.partial"])
def test_a_result_is_not_written_through_a_link(name: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.begin(RECORD)
    (tmp_path / "mine").write_text("mine")
    (folder.path / name).symlink_to(tmp_path / "mine")
    folder.write_result({"steps": 1})
    assert (tmp_path / "mine").read_text() == "mine"
    assert json.loads(folder.result.read_text()) == {"steps": 1}


@pytest.mark.parametrize("place", [".", "runs/1"])
def test_a_new_run_is_not_put_into_a_store(place: str, tmp_path: Path) -> None:
    (tmp_path / "store" / "rows").mkdir(parents=True)
    for name in ("recipe.json", "zarr.json", "rows/zarr.json"):
        (tmp_path / "store" / name).write_text("{}")
    with pytest.raises(errors.UsageError, match=f"lies in the store {tmp_path}/store.*give an --out outside of it"):
        RunFolder(tmp_path / "store" / place).check_free()
    RunFolder(tmp_path / "beside").check_free()
