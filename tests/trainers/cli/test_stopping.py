"""A trainer that is told to stop keeps what was done, and says how to go on."""

import json
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway
from tests.trainers.cli.command import ENVIRONMENT, OPTIONS, Left, stop_when, trainer
from tests.trainers.loggers.written import curves, history
from trainers.save.checkpoint import load_dictionary, newest_checkpoint

LONG = ("--steps", 100_000, "--checkpoint-every", 50_000, "--out", "run")


def steps_logged(folder: Path) -> int:
    metrics = folder / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def stopped(store: Path, folder: Path, number: signal.Signals, *options: object) -> tuple[Left, int]:
    """Stop a run in the middle, and return the step at which it says that it was."""
    arguments = ("read-from-store", store, *OPTIONS, *LONG, *options)
    left = stop_when(lambda: steps_logged(folder / "run") >= 1, number, *arguments, cwd=folder)
    said = re.search(r"stopped by \S+ at step ([\d,]+) of 100,000; checkpoint: run/checkpoints/step-(\d+)\n", left.err)
    assert said is not None, left.err
    step = int(said[1].replace(",", ""))
    assert step == int(said[2])
    return left, step


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_trainer_has_a_checkpoint_of_the_step_at_which_it_stopped(
    number: signal.Signals, code: int, store: Path, tmp_path: Path
) -> None:
    left, step = stopped(store, tmp_path, number)
    assert (left.code, left.out) == (code, "")
    assert left.seconds < 5
    assert "Traceback" not in left.err
    newest = newest_checkpoint(tmp_path / "run/checkpoints")
    assert newest is not None
    assert load_dictionary(newest)[1].step == step


def test_a_stopped_trainer_leaves_loggers_with_what_was_logged(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        monkeypatch.setitem(ENVIRONMENT, name, value)
    left, _ = stopped(store, tmp_path, signal.SIGTERM, "--log", "tensorboard,wandb")
    assert (left.code, left.out) == (143, "")
    assert left.seconds < 5
    run = tmp_path / "run"
    logged = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in history(run)] == logged
    assert [step for step, _ in curves(run)["loss"]] == logged


@pytest.mark.slow
def test_the_printed_command_goes_on_to_the_weights_of_a_run_that_was_never_stopped(
    store: Path, tmp_path: Path
) -> None:
    options = ("--steps", 400, "--checkpoint-every", 1000, "--out")
    whole = trainer("read-from-store", store, *OPTIONS, *options, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    left = stop_when(
        lambda: steps_logged(tmp_path / "run") >= 20,
        signal.SIGINT,
        *("read-from-store", store, *OPTIONS, *options, "run"),
        cwd=tmp_path,
    )
    assert left.code == 130, left.err
    printed = re.search(r"^go on with: trainer (.*)$", left.err, re.MULTILINE)
    assert printed is not None
    resumed = trainer(*shlex.split(printed[1]), "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["resumed_from_step"] >= 20
    weights = "checkpoints/step-000000400/dictionary.safetensors"
    assert (tmp_path / "run" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    steps = [json.loads(line)["step"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 401))


@pytest.fixture
def remote(store: Path, gateway: Gateway) -> str:
    bucket, client = gateway.new_bucket(), gateway.client()
    for path in store.rglob("*"):
        if path.is_file():
            client.pipe_file(f"{bucket}/store/{path.relative_to(store).as_posix()}", path.read_bytes())
    return f"s3://{bucket}/store"


def storage(gateway: Gateway, proxy: FaultProxy) -> list[str]:
    options = gateway.storage_options | {"endpoint_url": proxy.url}
    return [f"--storage-option={name}={value}" for name, value in options.items()]


@pytest.mark.s3
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_trainer_leaves_in_time_though_its_server_is_silent(
    number: signal.Signals, remote: str, gateway: Gateway, proxy_to: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    proxy = proxy_to(gateway)

    def silenced() -> bool:
        if steps_logged(tmp_path / "run") < 2:
            return False
        proxy.faults = Faults(silent=True)
        return True

    small = ("--steps", 1000, "--buffer-bytes", 300_000, "--out", "run")  # a fill is a batch
    left = stop_when(
        silenced,
        number,
        *("read-from-store", remote, *OPTIONS, *small, *storage(gateway, proxy)),
        cwd=tmp_path,
        after_s=2.0,
    )
    assert (left.code, left.seconds < 5) == (128 + number, True), left
    newest = newest_checkpoint(tmp_path / "run/checkpoints")
    assert newest is not None
    assert f"checkpoint: run/checkpoints/{newest.name}" in left.err
    assert "go on with: trainer read-from-store --resume run (and the same --storage-option)" in left.err
    assert "Traceback" not in left.err
    assert not [text for text in gateway.storage_options.values() if text in (tmp_path / "run/run.json").read_text()]


@pytest.mark.s3
def test_a_trainer_leaves_in_time_before_a_silent_server_has_said_anything(
    remote: str, gateway: Gateway, proxy_to: Callable[..., FaultProxy], tmp_path: Path
) -> None:
    proxy = proxy_to(gateway, Faults(silent=True))
    arguments = ("read-from-store", remote, *OPTIONS, *storage(gateway, proxy))
    left = stop_when(lambda: proxy.statistics.requests > 0, signal.SIGINT, *arguments, cwd=tmp_path)
    assert (left.code, left.seconds < 5) == (130, True), left
    assert "Traceback" not in left.err
