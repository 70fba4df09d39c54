"""The same run on rows that are read, and on rows that are computed."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore import errors, export_manifest, open_manifest, verify_store
from trainers.fit.config import make_config
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store
from trainers.workflows.results import TrainingResult
from trainers.workflows.stream_only import stream_only

CONFIG: dict[str, Any] = {"sites": ("resid_post.3",), "batch_rows": 512, "latents": 256, "k": 16}


def train(source: Path, out: Path, *, config: dict[str, Any] | None = None, **options: Any) -> TrainingResult:
    where = RunOptions(out=out, device="cpu", model_device="cpu", **options)
    return read_from_store(source, make_config(CONFIG | (config or {})), where)


def weights(result: TrainingResult) -> bytes:
    return (Path(result.checkpoint) / "dictionary.safetensors").read_bytes()


def contents(store: Path) -> dict[str, bytes]:
    return {path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def without(store: Path, folder: Path, wanted: Callable[[int], bool]) -> Path:
    """Return a copy of a store without the commits of some tasks, as an extraction that was killed leaves it."""
    shutil.copytree(store, folder)
    (folder / "manifest.json").unlink()
    for commit in (folder / "commits").iterdir():
        if wanted(int(commit.stem)):
            commit.unlink()
    return folder


@pytest.fixture(scope="module")
def stored(store: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """Two epochs from the store."""
    return train(store, tmp_path_factory.mktemp("stored") / "run", config={"steps": 30})


def test_a_store_its_manifest_and_its_recipe_train_online_to_the_same_weights(
    store: Path, recipe_file: Path, stored: TrainingResult, tmp_path: Path
) -> None:
    shared = tmp_path / "shared.json"
    export_manifest(str(store), shared)
    for index, source in enumerate((store, shared, recipe_file)):
        result = train(source, tmp_path / str(index), config={"steps": 30}, live="online")
        assert weights(result) == weights(stored)
        assert result.explained_variance == stored.explained_variance
        assert (result.evaluated_on, result.evaluated_rows) == (stored.evaluated_on, stored.evaluated_rows)
        assert result.live is not None
        assert (result.live["mode"], result.live["passes"]) == ("online", 1.0)
        tasks = open_manifest(store).frozen.tasks
        assert result.live["tasks_computed"] == tasks


@pytest.mark.parametrize("share", [1, 2])
def test_training_fills_a_store_to_what_an_extraction_makes(
    store: Path, stored: TrainingResult, tmp_path: Path, share: int
) -> None:
    partial = without(store, tmp_path / "partial", lambda task: task % share == 0)
    result = train(partial, tmp_path / "run", config={"steps": 30}, live="store")
    assert result.live is not None
    assert result.live["store_complete"]
    assert contents(partial) == contents(store)
    assert verify_store(str(partial)).ok
    assert result.rows == stored.rows
    if share == 1:
        assert weights(result) == weights(stored)
    else:
        assert result.explained_variance == pytest.approx(stored.explained_variance, abs=0.02)


def test_a_run_that_filled_a_store_resumes_once_it_is_complete(store: Path, tmp_path: Path) -> None:
    """Where rows come from is what was planned, however much of it is there."""
    empty = without(store, tmp_path / "empty", lambda _: True)
    first = train(empty, tmp_path / "run", config={"steps": 10}, live="store")
    assert first.live is not None
    assert first.live["tasks_missing"] == open_manifest(store).frozen.tasks
    assert open_manifest(empty).complete
    again = read_from_store(options=RunOptions(resume=tmp_path / "run"))
    assert again.resumed_from_step == 10
    assert weights(again) == weights(first)
    assert again.live is not None
    assert again.live["tasks_missing"] == 0
    with pytest.raises(errors.UsageError, match="the source of the rows: 'store' in the run, None now"):
        read_from_store(empty, options=RunOptions(resume=tmp_path / "run", live=None))


def test_computing_writes_nothing(store: Path, tmp_path: Path) -> None:
    partial = without(store, tmp_path / "partial", lambda task: task == 1)
    before = contents(partial)
    config = make_config(CONFIG)
    result = stream_only(partial, config, RunOptions(live="compute", model_device="cpu"))
    assert result.rows == open_manifest(store).splits["train"].rows
    assert result.live is not None
    assert (result.live["tasks_missing"], result.live["tasks_computed"], result.live["store_complete"]) == (1, 1, False)
    assert contents(partial) == before


def test_missing_rows_are_an_error_unless_told_otherwise(store: Path, tmp_path: Path) -> None:
    partial = without(store, tmp_path / "partial", lambda task: task == 1)
    with pytest.raises(errors.IncompleteStoreError, match=r"1 of .* tasks are not extracted yet"):
        stream_only(partial, make_config(CONFIG))


def test_a_folder_that_is_taken_is_refused_before_anything_is_computed(store: Path, tmp_path: Path) -> None:
    empty = without(store, tmp_path / "empty", lambda _: True)
    before = contents(empty)
    (tmp_path / "run/checkpoints").mkdir(parents=True)
    with pytest.raises(errors.CheckpointError, match="the folder holds an unfinished run"):
        train(empty, tmp_path / "run", live="store")
    with pytest.raises(errors.CheckpointError, match="no run to resume"):
        read_from_store(empty, options=RunOptions(resume=tmp_path / "other", live="store"))
    assert contents(empty) == before


def test_too_little_room_is_said_before_anything_is_trained(store: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"live": "online", "cache_bytes": 1, "buffer_bytes": 1 << 20}
    with pytest.raises(errors.StreamError, match=r"would run the model \d+\.\d times .*--most-passes"):
        train(store, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    assert train(store, tmp_path / "run", config={"steps": 2}, most_passes=1000, **options).steps == 2
