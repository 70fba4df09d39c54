"""Checkpoints resume exactly, or say why they cannot."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from actstore import errors
from actstore.testing.memory_stream import MemoryStream
from tests.trainers.in_memory import CPU, origin_of, plan_of, state_of, stream_of
from tests.trainers.planted import Planted
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.health import HealthRecord
from trainers.fit.loop import train
from trainers.fit.plan import TrainPlan
from trainers.fit.state import TrainState
from trainers.save.checkpoint import (
    checkpoint_bytes,
    checkpoints_of,
    copy_checkpoint,
    load_dictionary,
    newest_checkpoint,
    read_checkpoint,
    read_record,
    resume_state,
    write_checkpoint,
)
from trainers.save.files import file_sha256

OPTIONS: dict[str, Any] = {"latents": 64, "steps": 12, "dead_after_rows": 600}


def stream_for(planted: Planted) -> MemoryStream:
    return stream_of(planted.values_NSD[:1500], batch_rows=256)


def run_until(stream: MemoryStream, state: TrainState, plan: TrainPlan, step: int) -> None:
    for _ in train(state, stream, plan):
        if state.step == step:
            return


def saved(planted: Planted, root: Path, *, step: int = 5, **options: Any) -> tuple[Path, TrainPlan]:
    stream = stream_for(planted)
    plan = plan_of(stream, **OPTIONS | options)
    state = state_of(stream, plan)
    if step:
        run_until(stream, state, plan, step)
    return write_checkpoint(root, state, plan=plan, origin=origin_of(stream), cursor=stream.cursor), plan


@pytest.mark.parametrize("name", DICTIONARIES)
@pytest.mark.parametrize("step", [0, 5, 6])  # before the first batch; within an epoch; at the end of one
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    name: str, step: int, one_site: Planted, three_sites: Planted, tmp_path: Path
) -> None:
    planted = one_site if DICTIONARIES[name].one_site else three_sites
    stream = stream_for(planted)
    plan = plan_of(stream, dictionary=name, **OPTIONS)
    whole = state_of(stream, plan)
    run_until(stream, whole, plan, plan.steps)

    path, _ = saved(planted, tmp_path, step=step, dictionary=name)
    checkpoint = read_checkpoint(path)
    second = stream_for(planted)
    second.seek(checkpoint.cursor)
    resumed = resume_state(checkpoint, plan=plan, origin=origin_of(second), device=CPU)
    assert resumed.step == step
    run_until(second, resumed, plan, plan.steps)

    assert (resumed.step, resumed.rows) == (whole.step, whole.rows)
    assert torch.equal(resumed.idle_rows_F, whole.idle_rows_F)
    for have, want in zip(resumed.dictionary.parameters(), whole.dictionary.parameters(), strict=True):
        assert torch.equal(have, want)
        for part, moment in whole.optimizer.state[want].items():
            assert torch.equal(resumed.optimizer.state[have][part], moment)


def test_the_newest_checkpoints_are_kept(one_site: Planted, tmp_path: Path) -> None:
    stream = stream_for(one_site)
    plan = plan_of(stream, **OPTIONS)
    state = state_of(stream, plan)
    for _ in train(state, stream, plan):
        write_checkpoint(tmp_path, state, plan=plan, origin=origin_of(stream), cursor=stream.cursor, keep=2)
    assert list(checkpoints_of(tmp_path)) == [11, 12]
    assert newest_checkpoint(tmp_path) == tmp_path / "step-000000012"


def test_the_last_good_checkpoint_is_kept_as_well(one_site: Planted, tmp_path: Path) -> None:
    stream = stream_for(one_site)
    plan = plan_of(stream, **OPTIONS)
    state = state_of(stream, plan)
    origin = origin_of(stream)
    sound = HealthRecord(best=0.5, last_good_step=5, recent=(0.4, 0.25))
    for _ in train(state, stream, plan):
        write_checkpoint(tmp_path, state, plan=plan, origin=origin, cursor=stream.cursor, keep=2, health=sound)
    assert list(checkpoints_of(tmp_path)) == [5, 11, 12]
    newest = tmp_path / "step-000000012"
    assert read_record(newest).health == sound
    document = json.loads((newest / "checkpoint.json").read_text())
    del document["health"]  # as checkpoints were before
    (newest / "checkpoint.json").write_text(json.dumps(document))
    assert read_record(newest).health is None


def test_a_copy_is_the_same(one_site: Planted, tmp_path: Path) -> None:
    path, _ = saved(one_site, tmp_path / "a")
    (tmp_path / "b").mkdir()
    copy = copy_checkpoint(path, tmp_path / "b")
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == {
        file.name: file.read_bytes() for file in path.iterdir()
    }


def test_every_file_has_the_permissions_of_the_umask(one_site: Planted, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path, _ = saved(one_site, tmp_path)
    finally:
        os.umask(before)
    assert {oct(file.stat().st_mode & 0o777) for file in path.iterdir()} == {"0o640"}


def test_a_checkpoint_needs_the_room_that_was_foreseen(one_site: Planted, tmp_path: Path) -> None:
    path, plan = saved(one_site, tmp_path)
    used = sum(file.stat().st_size for file in path.iterdir())
    assert used <= checkpoint_bytes(plan) <= used + 20_000


def test_what_a_kill_leaves_behind_is_ignored_and_swept_up(one_site: Planted, tmp_path: Path) -> None:
    path, _ = saved(one_site, tmp_path, step=3)
    half = tmp_path / ".step-000000007.partial"
    half.mkdir()
    (half / "dictionary.safetensors").write_bytes(b"half")
    older = shutil.copytree(path, tmp_path / "step-000000001")
    assert newest_checkpoint(tmp_path) == path
    read_checkpoint(path)
    path, _ = saved(one_site, tmp_path, step=7)
    assert list(tmp_path.iterdir()) == [path]
    assert not older.exists()


def test_there_may_be_no_checkpoint_yet(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None


def test_another_plan_is_refused_with_every_difference(one_site: Planted, tmp_path: Path) -> None:
    path, plan = saved(one_site, tmp_path)
    other = plan.model_copy(update={"kept": 8, "lr": 0.5})
    with pytest.raises(errors.CheckpointError) as refusal:
        resume_state(read_checkpoint(path), plan=other, origin=origin_of(stream_for(one_site)), device=CPU)
    assert "kept: 32 in the checkpoint, 8 now" in str(refusal.value)
    assert f"lr: {plan.lr} in the checkpoint, 0.5 now" in str(refusal.value)


@pytest.mark.parametrize("field", ["manifest_sha256", "weights_sha256"])
def test_another_store_or_model_is_refused_though_the_shapes_fit(field: str, one_site: Planted, tmp_path: Path) -> None:
    path, plan = saved(one_site, tmp_path)
    other = origin_of(stream_for(one_site)).model_copy(update={field: "f" * 64})
    with pytest.raises(errors.CheckpointError, match=f"{field}: '[01]+' in the checkpoint, 'f+' now"):
        resume_state(read_checkpoint(path), plan=plan, origin=other, device=CPU)


@pytest.mark.parametrize("name", ["dictionary.safetensors", "optimizer.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "changed", "empty"])
def test_a_damaged_file_is_named(name: str, damage: str, one_site: Planted, tmp_path: Path) -> None:
    path, _ = saved(one_site, tmp_path)
    file = path / name
    data = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        changed = bytes([data[0] ^ 1]) + data[1:]
        file.write_bytes({"truncated": data[: len(data) // 2], "changed": changed, "empty": b""}[damage])
    with pytest.raises(errors.CheckpointError, match=name):
        read_checkpoint(path)


def test_a_record_of_another_format_is_refused(one_site: Planted, tmp_path: Path) -> None:
    path, _ = saved(one_site, tmp_path)
    record = json.loads((path / "checkpoint.json").read_text())
    (path / "checkpoint.json").write_text(json.dumps(record | {"format": "actstore-checkpoint/9"}))
    with pytest.raises(errors.CheckpointError, match=r"checkpoint.json: its format is not actstore-checkpoint/2"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W_dec": torch.zeros(3, 3)}, r"W_dec is torch.float32 \[3, 3\]; expected torch.float32 \[64, 32\]"),
        ({"extra": torch.zeros(1)}, "holds W_dec, W_enc, b_dec, b_enc, extra; expected W_dec, W_enc, b_dec, b_enc"),
    ],
)
def test_weights_of_another_dictionary_are_refused(
    change: dict[str, torch.Tensor], message: str, one_site: Planted, tmp_path: Path
) -> None:
    path, _ = saved(one_site, tmp_path)
    file = path / "dictionary.safetensors"
    save_file(load_file(file) | change, file)
    record = json.loads((path / "checkpoint.json").read_text())
    record["files"][file.name] = file_sha256(file)
    (path / "checkpoint.json").write_text(json.dumps(record))
    with pytest.raises(errors.CheckpointError, match=message):
        load_dictionary(path)


def test_a_dictionary_comes_back_with_what_it_was_trained_on(one_site: Planted, tmp_path: Path) -> None:
    stream = stream_for(one_site)
    plan = plan_of(stream, **OPTIONS)
    state = state_of(stream, plan)
    run_until(stream, state, plan, 5)
    path = write_checkpoint(tmp_path, state, plan=plan, origin=origin_of(stream), cursor=stream.cursor)
    dictionary, record = load_dictionary(path)
    assert (record.step, record.plan, record.origin) == (5, plan, origin_of(stream))
    scale_S = torch.tensor(record.input_scale)
    assert torch.equal(scale_S, state.scale_S)
    values_BSD = torch.from_numpy(one_site.values_NSD[:64]) * scale_S[:, None]
    assert torch.equal(dictionary(values_BSD).reconstruction_BSD, state.dictionary(values_BSD).reconstruction_BSD)


def test_files_get_the_permissions_that_the_umask_leaves(one_site: Planted, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path, _ = saved(one_site, tmp_path)
    finally:
        os.umask(before)
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.iterdir()} == dict.fromkeys(
        ("dictionary.safetensors", "optimizer.safetensors", "checkpoint.json"), "0o640"
    )


def test_only_folders_of_older_checkpoints_are_removed(one_site: Planted, tmp_path: Path) -> None:
    mine = ("best-step-000000003", "step-3-notes", "my.step-4.partial", ".step-5")
    gone = ("step-000000001", ".step-000000002.partial", ".step-000000002.doomed", ".step-000000003.partial.doomed")
    for name in (*mine, *gone):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"content")
    path, _ = saved(one_site, tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {*mine, path.name}


@pytest.mark.parametrize(
    "name", ["step-000000001", ".step-000000005.partial", "..step-000000005.partial.doomed", ".step-000000001.doomed"]
)
def test_what_a_link_leads_to_is_never_removed(name: str, one_site: Planted, tmp_path: Path) -> None:
    elsewhere, root = tmp_path / "elsewhere", tmp_path / "checkpoints"
    for folder in (elsewhere, root):
        folder.mkdir()
    (elsewhere / "file").write_bytes(b"mine")
    (root / name).symlink_to(elsewhere)
    path, _ = saved(one_site, root)
    assert read_checkpoint(path).record.step == 5
    assert [one.name for one in elsewhere.iterdir()] == ["file"]


def test_nothing_is_written_where_the_folder_of_checkpoints_is_a_link(one_site: Planted, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "step-000000001").mkdir(parents=True)
    (tmp_path / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="checkpoints is a symbolic link, and nothing is written or removed"):
        saved(one_site, tmp_path / "checkpoints")
    assert [one.name for one in (tmp_path / "elsewhere").iterdir()] == ["step-000000001"]


def test_a_checkpoint_that_was_not_kept_is_answered_with_those_that_are(tmp_path: Path) -> None:
    for step in (300, 400):
        (tmp_path / f"step-{step:09d}").mkdir()
    with pytest.raises(errors.CheckpointError, match=r"not a checkpoint; .* has step-000000300, step-000000400"):
        read_record(tmp_path / "step-000000200")
