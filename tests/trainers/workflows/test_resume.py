"""A resumed run knows every option; what would change its result is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig, make_config
from trainers.save.checkpoint import newest_checkpoint, read_record
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store
from trainers.workflows.results import TrainingResult
from trainers.workflows.resume import Asked, command_to_resume, settle

CONFIG: dict[str, Any] = {"sites": ("resid_post.3",), "batch_rows": 512, "latents": 256, "k": 16, "steps": 8}


@pytest.fixture(scope="module")
def begun(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 8 steps with checkpoints of the last three pairs of them; do not change it."""
    run = tmp_path_factory.mktemp("begun") / "run"
    read_from_store(store, make_config(CONFIG), RunOptions(out=run, device="cpu", checkpoint_every=2))
    return run


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


def resume(run: Path, config: dict[str, Any] | None = None, **options: Any) -> TrainingResult:
    return read_from_store(None, make_config(config or {}), RunOptions(resume=run, **options))


def names(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_last_three_checkpoints_are_kept(begun: Path) -> None:
    assert names(begun) == ["step-000000004", "step-000000006", "step-000000008"]


def test_every_option_comes_from_the_run(store: Path, run: Path) -> None:
    asked = settle(None, None, RunOptions(resume=run))
    assert (asked.source, asked.config) == (str(store), make_config(CONFIG))
    assert (asked.options.device, asked.options.checkpoint_every, asked.options.out) == ("cpu", 2, run)


def test_what_does_not_change_the_result_may_change(run: Path) -> None:
    asked = settle(None, None, RunOptions(resume=run, checkpoint_every=5, keep=1, eval_every=7))
    assert (asked.options.checkpoint_every, asked.options.keep, asked.options.eval_every) == (5, 1, 7)
    assert asked.options.device == "cpu"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": 0.02}, r"--lr: 0\.01 in the run, 0\.02 now"),
        ({"k": 8}, "--k: 16 in the run, 8 now"),
        ({"expansion": 4}, "--expansion: 8 in the run, 4 now"),
        ({"sites": ("resid_post.0",)}, r"--site: \('resid_post\.3',\) in the run, \('resid_post\.0',\) now"),
        ({"seed": 1, "batch_rows": 9}, "--batch-rows: 512 in the run, 9 now; --seed: 0 in the run, 1 now"),
    ],
)
def test_an_option_that_would_change_the_result_is_refused(given: dict[str, Any], message: str, run: Path) -> None:
    with pytest.raises(errors.UsageError, match=message):
        resume(run, given)


def test_an_option_may_be_given_again_as_it_is(run: Path) -> None:
    assert resume(run, {"k": 16, "lr": 0.01, "sites": ("resid_post.3",), "steps": 8}).resumed_from_step == 8


def test_rows_that_are_computed_are_not_mixed_with_rows_that_are_read(run: Path) -> None:
    with pytest.raises(errors.UsageError, match="the source of the rows: None in the run, 'online' now"):
        settle(None, None, RunOptions(resume=run, live="online"))


def test_a_run_goes_on_past_its_first_end(store: Path, run: Path) -> None:
    assert resume(run, {"steps": 12}).steps == 12
    newest = newest_checkpoint(run / "checkpoints")
    assert newest is not None
    record = read_record(newest)
    assert (record.step, record.plan.steps, record.plan.restart_rows) == (12, 12, 8 * 512)
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in metrics] == list(range(1, 13))
    assert metrics[8]["lr"] > metrics[7]["lr"]
    assert resume(run).resumed_from_step == 12
    with pytest.raises(errors.UsageError, match=r"--steps 11: 6,144 rows are done, .* lose its shape; leave the run"):
        resume(run, {"steps": 11})


def test_a_run_made_shorter_ends_there_also_if_it_is_resumed_without_a_checkpoint_since(
    store: Path, run: Path, tmp_path: Path
) -> None:
    branch = tmp_path / "branch"
    resume(run / "checkpoints/step-000000004", {"steps": 6}, out=branch)
    assert names(branch)[-1] == "step-000000006"
    shutil.rmtree(branch / "checkpoints/step-000000006")
    assert settle(None, None, RunOptions(resume=branch)).config.steps == 6
    assert resume(branch).steps == 6
    record = read_record(branch / "checkpoints/step-000000006")
    assert (record.plan.steps, record.plan.restart_rows) == (6, 4 * 512)


def test_a_run_of_an_older_trainer_is_refused_with_the_reason(run: Path) -> None:
    for file, newer in (
        (run / "checkpoints/step-000000008/checkpoint.json", "actstore-checkpoint/2"),
        (run / "run.json", "actstore-run/2"),
    ):
        document = json.loads(file.read_text())
        assert document["format"] == newer
        file.write_text(json.dumps(document | {"format": newer.replace("/2", "/1"), "former_field": 1}))
        with pytest.raises(errors.CheckpointError, match=rf"its format is not {newer}: an older or newer version"):
            resume(run)


def test_a_run_may_go_on_in_another_folder(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = resume(run / "checkpoints/step-000000004", out=tmp_path / "other")
    assert (result.resumed_from_step, result.steps) == (4, 8)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    last = "checkpoints/step-000000008/dictionary.safetensors"
    assert (tmp_path / "other" / last).read_bytes() == (run / last).read_bytes()
    lines = (tmp_path / "other/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 9))
    with pytest.raises(errors.CheckpointError, match="nothing is overwritten"):
        resume(run, out=tmp_path / "other")


def test_an_older_checkpoint_does_not_replace_newer_ones(run: Path) -> None:
    with pytest.raises(errors.CheckpointError, match="newer checkpoint, step-000000008, which would be lost"):
        resume(run / "checkpoints/step-000000004")


def test_a_store_that_moved_is_given_again(store: Path, run: Path, tmp_path: Path) -> None:
    (tmp_path / "moved").symlink_to(store)
    result = read_from_store(tmp_path / "moved", options=RunOptions(resume=run))
    assert result.resumed_from_step == 8


@pytest.mark.parametrize("place", ["typo", ".", "run/checkpoints/step-000000099"])
def test_there_must_be_a_run(place: str, run: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match=r"no run to resume|no checkpoint\.json; this is not a checkpoint"):
        resume(tmp_path / place)


def test_secrets_are_not_written() -> None:
    asked = Asked(
        "s3://me:hush@host/bucket/store", TrainConfig(), RunOptions(storage_options={"secret": "hush"}), saved=None
    )
    assert "hush" not in asked.record.model_dump_json()
    assert asked.record.source is None


def test_something_must_be_trained_on() -> None:
    with pytest.raises(errors.UsageError, match="nothing to train on: give a store, or --resume"):
        read_from_store()


def test_the_command_that_goes_on_can_be_pasted() -> None:
    assert command_to_resume(Path("a b"), RunOptions()) == "trainer read-from-store --resume 'a b'"
    assert command_to_resume(Path("a"), RunOptions(live="online")) == "trainer online --resume a"


LAYERED = TrainConfig(
    dictionary="clt-topk",
    sites=("resid_post.0", "resid_post.3"),
    targets=("resid_post.0", "resid_post.3"),
    latents=64,
    k=4,
    batch_rows=256,
    steps=12,
)


@pytest.fixture(scope="module")
def layered(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that reads some sites, writes others, and counts latents for each layer; do not change it."""
    folder = tmp_path_factory.mktemp("layered") / "run"
    read_from_store(store, LAYERED, RunOptions(out=folder, device="cpu"))
    return folder


def test_sites_targets_and_sizes_of_each_layer_mean_what_they_meant(layered: Path) -> None:
    given = {"sites": LAYERED.sites, "targets": LAYERED.targets, "latents": 64, "k": 4}
    assert settle(None, make_config(given), RunOptions(resume=layered)).config == LAYERED


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"targets": ("resid_post.3", "resid_post.0")}, "--target: "),
        ({"latents": 128}, "--latents: 64 in the run, 128 now"),
        ({"k": 8}, "--k: 4 in the run, 8 now"),
    ],
)
def test_other_targets_and_sizes_are_refused(given: dict[str, Any], said: str, layered: Path) -> None:
    with pytest.raises(errors.UsageError, match=said):
        settle(None, make_config(given), RunOptions(resume=layered))
