"""`torchrun -m trainers`: several processes train one dictionary."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore import Batch, Seat, Stream, open_manifest, open_stream
from tests.trainers.cli.command import ENVIRONMENT, trainer
from tests.trainers.in_memory import CPU
from trainers.fit.config import TrainConfig
from trainers.fit.initialise import start
from trainers.fit.loop import Trained, train
from trainers.fit.normalise import describe_inputs
from trainers.fit.plan import StreamFacts, plan_training
from trainers.save.checkpoint import load_dictionary, newest_checkpoint, read_record
from trainers.save.run_folder import RunFolder

pytestmark = pytest.mark.slow

OPTIONS = ("--site", "resid_post.3", "--batch-rows", 512, "--latents", 256, "--k", 16, "--device", "cpu", "--json")
STEPS = 30


def torchrun(*arguments: object) -> list[str]:
    own = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    return [*own, "-m", "trainers", "read-from-store", *map(str, arguments)]


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        torchrun(*arguments), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=200, check=False
    )


def metrics(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class BothSeats:
    """The batches that two processes have, in one."""

    streams: tuple[Stream, Stream]

    def __iter__(self) -> Iterator[Batch]:
        for pair in zip(*self.streams, strict=True):
            yield Batch(*(np.concatenate(columns) for columns in zip(*pair, strict=True)))


def in_one_process(store: Path) -> list[Trained]:
    """The same training on the same batches, without ranks."""
    manifest = open_manifest(store)
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(open_stream(store, sites="resid_post.3", batch_rows=256, seat=Seat(rank, 2)))
            for rank in (0, 1)
        )
        config = TrainConfig(latents=256, k=16, batch_rows=512, steps=STEPS)
        facts = StreamFacts(
            sites=first.sites,
            width=first.width,
            rows=first.rows,
            batch_rows=512,
            batches_per_epoch=first.batches_per_epoch,
        )
        plan = plan_training(config, facts)
        inputs = describe_inputs(plan.sites, manifest.statistics, normalisation="unit")
        source: Any = BothSeats((first, second))
        return list(train(start(plan, inputs, device=CPU), source, plan))


@pytest.fixture(scope="module")
def trained(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A finished run of two processes, and what it printed."""
    folder = tmp_path_factory.mktemp("two")
    once = ("--steps", STEPS, "--accumulate", 2, "--checkpoint-every", STEPS // 2)
    done = run(store, *OPTIONS, *once, "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run", json.loads(done.stdout)


def test_two_processes_have_the_losses_of_one_on_the_same_batches(
    store: Path, trained: tuple[Path, dict[str, Any]]
) -> None:
    folder, result = trained
    want = [step.report for step in in_one_process(store)]
    have = metrics(folder)
    assert [line["loss"] for line in have] == pytest.approx([report.loss for report in want], rel=1e-3)
    assert [line["rows"] for line in have] == [report.rows for report in want]
    assert [line["batch_l0"] for line in have] == pytest.approx([report.batch_l0 for report in want])
    explained = [report.batch_explained_variance for report in want]
    assert [line["batch_explained_variance"] for line in have] == pytest.approx(explained, rel=1e-3)
    assert (result["rows"], result["batch_rows"]) == (want[-1].rows, 512)
    assert json.loads((folder / "result.json").read_text()) == result


def test_a_run_of_two_processes_goes_on_in_one(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = trained
    more = ("--steps", STEPS + 20, "--out", "more", "--accumulate", 1)
    done = trainer("read-from-store", "--resume", folder, *more, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = metrics(tmp_path / "more")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 21))
    rows = [line["rows"] for line in lines]
    assert rows[STEPS] > rows[STEPS - 1]
    before = read_record(folder / f"checkpoints/step-{STEPS:09d}")
    assert (before.rows, before.cursor["world_size"]) == (rows[STEPS - 1], 2)
    assert lines[-1]["batch_explained_variance"] > lines[STEPS - 1]["batch_explained_variance"] - 0.02


def test_two_processes_go_on_to_the_bits_of_a_run_that_was_never_stopped(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, _ = trained
    done = run("--resume", folder / f"checkpoints/step-{STEPS // 2:09d}", "--out", "again", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    weights = f"checkpoints/step-{STEPS:09d}/dictionary.safetensors"
    assert (tmp_path / "again" / weights).read_bytes() == (folder / weights).read_bytes()


def until(ready: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    while process.poll() is None and not ready():
        time.sleep(0.05)


def test_a_signal_to_torchrun_stops_all_processes_after_the_same_step(store: Path, tmp_path: Path) -> None:
    long = ("--steps", 100_000, "--checkpoint-every", 50_000, "--out", "run")
    with subprocess.Popen(
        torchrun(store, *OPTIONS, *long),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: bool(metrics(tmp_path / "run")), process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    said = re.findall(r"stopped by SIGTERM at step ([\d,]+) of 100,000; checkpoint: run/checkpoints/step-(\d+)\n", err)
    assert (out, len(said)) == ("", 1), err
    assert "go on with: torchrun --nproc-per-node 2 -m trainers read-from-store --resume run\n" in err
    newest = newest_checkpoint(tmp_path / "run/checkpoints")
    assert newest is not None
    assert load_dictionary(newest)[1].step == int(said[0][0].replace(",", "")) == int(said[0][1])


def rank_variables(rank: int, *, port: int) -> dict[str, str]:
    """What torchrun would set."""
    numbers = {"RANK": rank, "WORLD_SIZE": 2, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    return {name: str(number) for name, number in numbers.items()} | {"MASTER_ADDR": "127.0.0.1"}


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def test_a_process_that_dies_ends_the_others_with_a_checkpoint(store: Path, tmp_path: Path) -> None:
    """Without torchrun, which would end them, too."""
    arguments = (store, *OPTIONS, "--steps", 100_000, "--checkpoint-every", 50_000, "--out", "run")
    port = unused_port()
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "trainers", "read-from-store", *map(str, arguments)],
                    cwd=tmp_path,
                    env=ENVIRONMENT | rank_variables(rank, port=port),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for rank in (0, 1)
        )
        until(lambda: bool(metrics(tmp_path / "run")), first)
        second.kill()
        _, err = first.communicate(timeout=60)
        second.communicate()
    assert first.returncode == 1, err
    said = re.search(
        r"^error: rank 0 of 2: another process of this run ended, or did not answer in time; .*"
        r"The last good checkpoint is run/checkpoints/(step-\d+)$",
        err,
        re.MULTILINE,
    )
    assert said is not None, err
    newest = RunFolder(tmp_path / "run").newest_checkpoint()
    assert newest is not None
    assert newest.name == said[1]
