"""Dictionaries that are trained together end as they would alone."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

import trainers
from actstore import errors, open_store
from trainers.fit.config import make_config
from trainers.save.run_folder import RunFolder
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store
from trainers.workflows.sweep import PlannedPass, SweepResult, sweep

BASE = "sites = 'resid_post.3'\nbatch_rows = 256\nlatents = 64\nsteps = 12\n"
THREE = (
    BASE
    + """
[[grid]]
dictionary = ["topk-sae"]
k = [4, 8]

[[grid]]
dictionary = ["relu-sae"]
sparsity = [0.05]
"""
)
NAMES = ["topk-sae-k4", "topk-sae-k8", "relu-sae"]


def train(store: Path, text: str, out: Path, *, memory_bytes: int | None = None, **options: Any) -> SweepResult:
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.with_suffix(".toml")
    file.write_text(text)
    return sweep(store, file, RunOptions(out=out, device="cpu", **options), memory_bytes=memory_bytes)


def weights(folder: Path) -> bytes:
    newest = RunFolder(folder).newest_checkpoint()
    assert newest is not None
    return (newest / "dictionary.safetensors").read_bytes()


def alone(member: Path, out: Path) -> Path:
    """Train a member in a run of its own, with the settings and options of its `run.json`."""
    record = RunFolder(member).read_record()
    assert record.source is not None
    read_from_store(record.source, record.config, RunOptions(**record.options | {"out": out}))
    return out


def metrics(folder: Path) -> list[dict[str, Any]]:
    """Lines without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith(("_s", "_share"))} for line in lines]


def test_each_member_ends_as_a_separate_run_does(store: Path, tmp_path: Path) -> None:
    planned: list[Sequence[PlannedPass]] = []
    (tmp_path / "three.toml").write_text(THREE)
    options = RunOptions(out=tmp_path / "three", device="cpu", eval_every=5)
    result = sweep(store, tmp_path / "three.toml", options, planned=planned.append)
    assert list(result.members) == NAMES
    assert (result.finished, result.failed) == (3, {})
    [[one]] = planned
    assert (one.members, one.sites) == (tuple(NAMES), ("resid_post.3",))
    for name in NAMES:
        folder = tmp_path / "three" / name
        separate = alone(folder, tmp_path / "alone" / name)
        assert weights(folder) == weights(separate)
        assert metrics(folder) == metrics(separate)
        have, want = (json.loads((each / "result.json").read_text()) for each in (folder, separate))
        for number in ("explained_variance", "l0", "dead_fraction", "silent_fraction", "evaluated_rows", "steps"):
            assert have[number] == want[number]
        have, want = (load_file(each / "latents.safetensors") for each in (folder, separate))
        assert have["fired_F"].tolist() == want["fired_F"].tolist()
        assert int(have["fired_F"].sum()) > 0
        assert trainers.load(str(folder)).sites == ("resid_post.3",)
    saved = json.loads((tmp_path / "three/result.json").read_text())
    assert saved["members"]["topk-sae-k4"]["l0"] == 4


@pytest.mark.parametrize("order", ["windows", "uniform"])
def test_members_with_other_sites_and_seeds_share_the_batches(order: str, store: Path, tmp_path: Path) -> None:
    """A buffer for all sites, too small for the split, mixes fewer rows than one for a single site would."""
    text = f"""
batch_rows = 128
latents = 64
k = 4
steps = 30
order = "{order}"
[[grid]]
sites = ["resid_post.3", "resid_post.0"]
seed = [0, 1]
[[member]]
name = "both"
dictionary = "crosscoder-topk"
sites = ["resid_post.3", "resid_post.0"]
[[member]]
name = "over"
dictionary = "transcoder-topk"
sites = "resid_post.0"
targets = "resid_post.3"
"""
    result = train(store, text, tmp_path / "sweep", buffer_bytes=600_000)
    assert [len(one.members) for one in result.passes] == [6]
    for name in ("resid_post.3-seed1", "resid_post.0-seed0", "both", "over"):
        folder = tmp_path / "sweep" / name
        assert RunFolder(folder).read_record().config.order_seed == 0
        assert weights(folder) == weights(alone(folder, tmp_path / "alone" / name))
    buffers = {RunFolder(tmp_path / "sweep" / name).read_record().options["buffer_bytes"] for name in result.members}
    assert len(buffers) == (2 if order == "windows" else 1)
    names = [path for path in (tmp_path / "sweep").iterdir() if path.is_dir()]
    assert len({weights(folder) for folder in names}) == 6


def test_members_with_a_probe_or_other_rows_end_as_they_do_alone(store: Path, tmp_path: Path) -> None:
    with open_store(store) as opened:
        proteins = [one for one in opened.sequences.to_pylist() if one["split"] == "train"]
    columns = {
        "sequence": [one["id"] for one in proteins for _ in one["residues"]],
        "position": [position for one in proteins for position in range(len(one["residues"]))],
        "hydrophobic": [letter in "AILMFVWY" for one in proteins for letter in one["residues"]],
    }
    pq.write_table(pa.table(columns), tmp_path / "labels.parquet")
    text = f"""{BASE}k = 4
grid = {{normalisation = ["unit", "row-zscore"]}}
[[member]]
name = "probe"
labels = "{tmp_path}/labels.parquet"
probe_weight = 0.1
"""
    result = train(store, text, tmp_path / "sweep")
    assert [len(one.members) for one in result.passes] == [3]
    for name in result.members:
        assert weights(tmp_path / "sweep" / name) == weights(
            alone(tmp_path / "sweep" / name, tmp_path / "alone" / name)
        )


def test_a_member_goes_on_alone(store: Path, tmp_path: Path) -> None:
    train(store, THREE, tmp_path / "sweep")
    member = tmp_path / "sweep/topk-sae-k4"
    longer = read_from_store(None, make_config({"steps": 20}), RunOptions(resume=member))
    assert (longer.resumed_from_step, longer.steps) == (12, 20)


def test_members_that_do_not_fit_together_are_read_one_after_the_other(store: Path, tmp_path: Path) -> None:
    whole = train(store, THREE, tmp_path / "whole")
    parts = train(store, THREE, tmp_path / "parts", memory_bytes=whole.passes[0].bytes - 1)
    assert [one.members for one in parts.passes] == [("topk-sae-k4", "topk-sae-k8"), ("relu-sae",)]
    assert all(one.bytes < whole.passes[0].bytes for one in parts.passes)
    for name in NAMES:
        assert weights(tmp_path / "parts" / name) == weights(tmp_path / "whole" / name)


def test_a_member_that_cannot_fit_alone_is_refused_before_anything_is_trained(store: Path, tmp_path: Path) -> None:
    text = THREE + "[[member]]\nname = 'large'\nlatents = 1000000\n"
    said = r"1 of 4 members do not fit into the 50,000,000 bytes.*: large needs at least .*--latents .* would fit"
    with pytest.raises(errors.TrainingError, match=said):
        train(store, text, tmp_path / "sweep", memory_bytes=50_000_000)
    assert not (tmp_path / "sweep").exists()


def test_a_sweep_has_no_loggers(store: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.toml").write_text(THREE)
    with pytest.raises(errors.UsageError, match="a sweep passes no metrics to loggers"):
        sweep(store, tmp_path / "sweep.toml", RunOptions(out=tmp_path / "sweep", device="cpu", log=("wandb",)))
    assert not (tmp_path / "sweep").exists()


def test_members_with_other_batches_are_read_in_a_pass_of_their_own(store: Path, tmp_path: Path) -> None:
    result = train(
        store,
        "sites = 'resid_post.3'\nlatents = 64\nk = 4\nsteps = 3\ngrid = {batch_rows = [64, 128]}\n",
        tmp_path / "sweep",
    )
    assert [one.members for one in result.passes] == [("batch_rows64",), ("batch_rows128",)]


def test_a_member_that_diverges_stops_alone(store: Path, tmp_path: Path) -> None:
    text = BASE.replace("12", "40") + "k = 4\n[[grid]]\nlr = [0.001, 1000000.0]\n"
    result = train(store, text, tmp_path / "sweep")
    assert list(result.failed) == ["lr1000000.0"]
    assert "lr1000000.0" in result.failed["lr1000000.0"]
    good = tmp_path / "sweep/lr0.001"
    assert weights(good) == weights(alone(good, tmp_path / "alone"))
    assert result.members["lr0.001"]["explained_variance"] > 0
    again = sweep(None, None, RunOptions(resume=tmp_path / "sweep"))
    assert again.failed.keys() == result.failed.keys()
    assert again.members["lr0.001"] == json.loads(json.dumps(result.members["lr0.001"]))


def test_a_sweep_goes_on_from_the_checkpoint_that_each_member_has(store: Path, tmp_path: Path) -> None:
    """As after a kill between the checkpoints of two members, before the first one of a third, and after a result."""
    train(store, THREE, tmp_path / "whole", checkpoint_every=5, keep=9)
    half = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", half)
    shutil.rmtree(half / "topk-sae-k4/checkpoints/step-000000012")
    shutil.rmtree(half / "topk-sae-k8/checkpoints/step-000000012")
    shutil.rmtree(half / "topk-sae-k8/checkpoints/step-000000010")
    shutil.rmtree(half / "relu-sae")
    for name in NAMES[:2]:
        (half / name / "result.json").unlink()
    (half / "result.json").unlink()
    result = sweep(None, None, RunOptions(resume=half))
    assert result.finished == 3
    assert [result.members[name]["resumed_from_step"] for name in NAMES] == [10, 5, None]
    for name in NAMES:
        assert weights(half / name) == weights(tmp_path / "whole" / name)
        assert metrics(half / name) == metrics(tmp_path / "whole" / name)


def test_the_same_command_goes_on_and_another_sweep_is_refused(store: Path, tmp_path: Path) -> None:
    first = train(store, THREE, tmp_path / "sweep")
    before = {path: path.read_bytes() for path in (tmp_path / "sweep").rglob("*.safetensors")}
    again = train(store, THREE, tmp_path / "sweep")
    assert again.members.keys() == first.members.keys()
    assert {path: path.read_bytes() for path in before} == before
    said = "holds another sweep than .*: relu-sae: sparsity is 0.05 there, 0.06 here. Give another --out"
    with pytest.raises(errors.CheckpointError, match=said):
        train(store, THREE.replace("0.05", "0.06"), tmp_path / "sweep")


def test_runs_of_something_else_are_left_alone(store: Path, store_without_valid: Path, tmp_path: Path) -> None:
    train(store, THREE, tmp_path / "sweep")
    with pytest.raises(errors.CheckpointError, match=r"holds a sweep on the store with manifest .*give another --out"):
        train(store_without_valid, THREE, tmp_path / "sweep")
    (tmp_path / "sweep/sweep.json").unlink()
    with pytest.raises(errors.CheckpointError, match="has runs of another sweep or of none: topk-sae-k4, topk-sae-k8"):
        train(store, THREE, tmp_path / "sweep")
    with pytest.raises(errors.CheckpointError, match="the folder holds a finished run"):
        train(store, THREE, tmp_path / "sweep/topk-sae-k4")
    with pytest.raises(errors.CheckpointError, match="no sweep to go on with"):
        sweep(None, None, RunOptions(resume=tmp_path / "sweep/topk-sae-k4"))


def test_what_a_member_cannot_be_is_said_with_its_name_and_nothing_is_written(store: Path, tmp_path: Path) -> None:
    for text, said in (
        (BASE + "grid = {k = [4, 100]}", "member k100: k = 100 of only 64 latents; lower --k or raise --latents"),
        (BASE + "grid = {dictionary = ['relu-sae'], k = [4]}", "member relu-sae: relu-sae keeps no fixed number"),
        (BASE.replace("resid_post.3", "resid_post.9") + "grid = {k = [4]}", "member k4: .*resid_post.9.*did you mean"),
    ):
        with pytest.raises(errors.UsageError, match=said):
            train(store, text, tmp_path / "sweep")
        assert not (tmp_path / "sweep").exists()


def test_a_sweep_trains_in_one_process_and_takes_one_pass_for_one_update(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.UsageError, match="accumulate = 2: members of a sweep take one pass"):
        train(store, THREE, tmp_path / "sweep", accumulate=2)
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(errors.UsageError, match="WORLD_SIZE=2: a sweep trains in one process"):
        train(store, THREE, tmp_path / "sweep")
