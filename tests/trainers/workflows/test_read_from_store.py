"""From a store on disk to a scored dictionary."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore import errors, open_manifest, open_stream
from tests.trainers.in_memory import stream_of, train_on
from trainers.fit.config import make_config
from trainers.save.checkpoint import load_dictionary
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import default_folder, read_from_store
from trainers.workflows.results import TrainingResult


def train(store: Path, out: Path, **options: Any) -> TrainingResult:
    config = make_config({"batch_rows": 512, "latents": 256, "k": 16} | options)
    return read_from_store(store, config, RunOptions(out=out, device="cpu"))


def resume(run: Path, config: dict[str, Any] | None = None, **options: Any) -> TrainingResult:
    return read_from_store(None, make_config(config or {}), RunOptions(resume=run, **options))


def test_one_pass_trains_and_scores_on_the_held_out_split(store: Path, tmp_path: Path) -> None:
    result = train(store, tmp_path, sites=("resid_post.3",))
    manifest = open_manifest(store)
    assert result.rows == manifest.splits["train"].rows
    assert result.steps == -(-result.rows // 512)
    assert (result.evaluated_on, result.evaluated_rows) == ("valid", manifest.splits["valid"].rows)
    assert result.explained_variance is not None
    assert result.explained_variance > 0.5
    assert result.explained_variance_per_site == {"resid_post.3": pytest.approx(result.explained_variance)}
    assert result.l0 == 16
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(json.dumps(result.document()))
    dictionary, record = load_dictionary(Path(result.checkpoint))
    assert record.origin.manifest_sha256 == manifest.digest
    assert record.origin.sites[0].name == "resid_post.3"
    assert dictionary.shape.latents == 256


def test_a_crosscoder_reads_all_sites(store: Path, tmp_path: Path) -> None:
    result = train(store, tmp_path, dictionary="crosscoder-topk")
    assert result.sites == ("resid_post.0", "resid_post.3")
    assert list(result.explained_variance_per_site) == ["resid_post.0", "resid_post.3"]
    assert result.explained_variance is not None
    assert result.explained_variance > 0.5


def test_training_from_the_store_is_as_good_as_from_rows_in_memory(store: Path, tmp_path: Path) -> None:
    with open_stream(store, sites=["resid_post.3"], batch_rows=512, split="train") as stream:
        values_NSD = np.concatenate([batch.values_BSD.copy() for batch in stream])
    options: dict[str, Any] = {"latents": 256, "k": 16, "steps": 60}
    _, steps = train_on(stream_of(values_NSD, batch_rows=512), **options)
    train(store, tmp_path, sites=("resid_post.3",), **options)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    from_store = np.mean([json.loads(line)["batch_explained_variance"] for line in lines[-10:]])
    from_memory = np.mean([step.report.batch_explained_variance for step in steps[-10:]])
    assert from_store == pytest.approx(from_memory, abs=0.02)


def test_without_a_held_out_split_it_scores_on_the_training_rows_and_says_so(
    store_without_valid: Path, tmp_path: Path
) -> None:
    result = train(store_without_valid, tmp_path, sites=("resid_post.3",), steps=2)
    assert result.evaluated_on == "train"


def test_a_resumed_finished_run_reports_the_same_scores(store: Path, tmp_path: Path) -> None:
    first = train(store, tmp_path, sites=("resid_post.3",), steps=3)
    before = (tmp_path / "result.json").read_bytes()
    again = resume(tmp_path)
    assert again.resumed_from_step == 3
    assert again.explained_variance == first.explained_variance
    assert (tmp_path / "result.json").read_bytes() == before


def test_another_buffer_cannot_resume_since_it_gives_another_order(store: Path, tmp_path: Path) -> None:
    config = make_config({"sites": ("resid_post.3",), "batch_rows": 256, "steps": 3})
    read_from_store(store, config, RunOptions(out=tmp_path, device="cpu"))
    with pytest.raises(errors.CursorError, match="buffer_bytes and drop_last must be those with which it was taken"):
        resume(tmp_path, buffer_bytes=400_000)


def test_rows_in_uniform_order_train_as_well_and_cannot_resume_another_order(store: Path, tmp_path: Path) -> None:
    result = train(store, tmp_path, sites=("resid_post.3",), order="uniform")
    assert (result.order, result.path) == ("uniform", "mapped")
    assert result.explained_variance is not None
    assert result.explained_variance > 0.5
    assert result.mixing is not None
    assert result.mixing["distinct_ratio"] == pytest.approx(1, abs=0.05)
    _, record = load_dictionary(Path(result.checkpoint))
    assert record.plan.order == "uniform"
    with pytest.raises(errors.UsageError, match="--order: 'uniform' in the run, 'windows' now"):
        resume(tmp_path, {"order": "windows"})


def test_an_sae_without_a_site_lists_the_sites_and_writes_nothing(store: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"choose one with --site: resid_post\.0, resid_post\.3"):
        train(store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_default_folder_names_store_dictionary_sites_and_time(store: Path, tmp_path: Path) -> None:
    train(store, tmp_path, sites=("resid_post.3",), steps=3)
    _, record = load_dictionary(next((tmp_path / "checkpoints").iterdir()))
    plan, now = record.plan, datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
    many = plan.model_copy(update={"sites": ("embed", "a/b", "final_norm")})
    for source, of, name in (
        (Path("/scratch/esm2-8m"), plan, "esm2-8m-topk-sae-resid_post.3-20260301-123005"),
        ("s3://bucket/pro t5/?token=hush", plan, "pro_t5-topk-sae-resid_post.3-20260301-123005"),
        ("shared.json", many, "shared-topk-sae-embed-to-final_norm-3-sites-20260301-123005"),
    ):
        assert default_folder(of, source, now=now).as_posix() == f"runs/{name}"


def test_runs_without_out_do_not_collide(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = make_config({"sites": ("resid_post.3",), "batch_rows": 512, "steps": 3})
    folders = {read_from_store(store, config, RunOptions(device="cpu")).out for _ in range(2)}
    assert len(folders) == 2
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {Path(folder).name for folder in folders}


def test_a_dictionary_below_the_mean_of_the_rows_is_a_failure(store: Path, tmp_path: Path) -> None:
    message = r"explained variance on split 'valid' is -.* lower --lr \(now 5\).*No checkpoint of this run is better"
    with pytest.raises(errors.TrainingError, match=message):
        train(store, tmp_path, sites=("resid_post.3",), steps=30, lr=5.0)
    assert json.loads((tmp_path / "result.json").read_text())["explained_variance"] < 0
    assert list((tmp_path / "checkpoints").iterdir())


def test_held_out_rows_are_scored_during_training(store: Path, tmp_path: Path) -> None:
    config = make_config({"sites": ("resid_post.3",), "batch_rows": 512, "latents": 256, "k": 16, "steps": 10})
    result = read_from_store(store, config, RunOptions(out=tmp_path, device="cpu", eval_every=4))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    scored = {line["step"]: line for line in lines if "evaluated_on" in line}
    assert list(scored) == [4, 8, 10]
    assert scored[10]["evaluated_rows"] == result.evaluated_rows
    assert scored[10]["explained_variance"] == pytest.approx(result.explained_variance, rel=1e-6)


def test_a_number_has_one_name_in_metrics_and_result(store: Path, tmp_path: Path) -> None:
    config = make_config({"sites": ("resid_post.3",), "batch_rows": 512, "latents": 256, "k": 16, "steps": 10})
    result = read_from_store(store, config, RunOptions(out=tmp_path, device="cpu", eval_every=10)).document()
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    for name in ("explained_variance", "l0", "silent_fraction", "evaluated_rows"):
        assert last[name] == pytest.approx(result[name], rel=1e-6), name
    assert last["evaluated_on"] == result["evaluated_on"] == "valid"
    assert last["explained_variance_per_site"] == pytest.approx(result["explained_variance_per_site"], rel=1e-6)
    assert last["dead"] / result["latents"] == result["dead_fraction"]
    assert {"batch_explained_variance", "batch_explained_variance_per_site", "batch_l0"} <= last.keys()


def test_latents_are_called_dead_by_the_rows_of_training_and_only_after_enough_of_them(
    store: Path, tmp_path: Path
) -> None:
    options = {"sites": ("resid_post.3",), "latents": 256, "k": 4, "steps": 6}
    told = train(store, tmp_path / "told", dead_after_rows=512, **options)
    assert told.dead_after_rows == 512
    assert told.dead_fraction is not None
    assert told.dead_fraction > 0
    untold = train(store, tmp_path / "untold", dead_after_rows=1_000_000, **options)
    assert (untold.dead_fraction, untold.dead_after_rows) == (None, 1_000_000)
    assert untold.silent_fraction > 0
