"""Commands are told to stop while a server is silent or a model computes: they end in time and say how to continue."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

import pytest

from actstore.access.open import LocalObjects
from actstore.store.write.commit import committed_tasks
from actstore.workflows.care.verify import verify_store
from tests.end_to_end.s3_extraction import small_fasta
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LIMIT_S: Final = 8.0
"""Five seconds, and some for a busy machine. Without a limit it was 60 to 246 s."""
START_S: Final = 240.0
PROGRAM: Final = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom actstore.cli import main; main()"
)


class SilentServer:
    """Accepts connections and says nothing."""

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.asked = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                self._open.append(self._server.accept()[0])
            except OSError:
                return
            self.asked.set()


class Started:
    """A command in a process of its own."""

    def __init__(self, arguments: list[str], *, program: str = PROGRAM, **environment: str) -> None:
        self.arguments = arguments
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            process_group=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def until(self, ready: Callable[[], bool]) -> None:
        """Wait until it is where it should be stopped."""
        deadline_s = time.monotonic() + START_S
        while not ready():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline_s, self.arguments
            time.sleep(0.01)

    def stop(self, number: signal.Signals) -> str:
        """Send a signal to it and its processes, as a terminal does; check that it ends, and return what it says."""
        began = time.monotonic()
        os.killpg(self.process.pid, number)
        self.process.wait(timeout=START_S)
        took_s = time.monotonic() - began
        _, said = self.process.communicate(timeout=START_S)
        assert took_s < LIMIT_S, (self.arguments, said)
        assert self.process.returncode == 128 + number, said
        assert "Traceback" not in said, said
        return said


@pytest.fixture
def silent() -> Iterator[Callable[[], SilentServer]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(SilentServer())


STORAGE: Final = ["--storage-option=key=k", "--storage-option=secret=s"]
COMMANDS: Final = {
    "verify": ["verify", "s3://bucket/store"],
    "repair": ["repair", "s3://bucket/store"],
    "gc": ["gc", "s3://bucket/store", "--delete"],
    "inspect": ["inspect", "s3://bucket/store"],
    "manifest": ["manifest", "export", "s3://bucket/store", "--out=m.json"],
    "extract": ["extract", "--store=s3://bucket/store"],
    "extract from": ["extract", "--store=s3://bucket/store", "--sequences=s3://bucket/p.fasta", "--site=embed"],
    "plan": ["plan", "{recipe}", "--sequences=s3://bucket/p.fasta"],
}


@pytest.mark.parametrize("names", [list(COMMANDS)[:4], list(COMMANDS)[4:]], ids=" ".join)
def test_every_command_ends_while_storage_is_silent(
    names: list[str], silent: Callable[[], SilentServer], esm2_tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "recipe.toml").write_text(
        f'sites = ["embed"]\n[model]\nname = "{esm2_tiny}"\n[corpus]\nsequences = ["a.fasta"]\n'
    )
    with ExitStack() as stack:
        started: list[tuple[Started, SilentServer]] = []
        for name in names:
            server = silent()
            arguments = [each.format(recipe=tmp_path / "recipe.toml") for each in COMMANDS[name]]
            arguments += [*STORAGE, f"--storage-option=endpoint_url=http://127.0.0.1:{server.port}"]
            arguments += [f"--model={esm2_tiny}"] if name == "extract from" else []
            started.append((stack.enter_context(Started(arguments, AWS_REGION="x")), server))
        for each, server in started:
            each.until(server.asked.is_set)
        numbers = [signal.SIGINT, signal.SIGTERM] * (len(started) // 2)
        pool = stack.enter_context(ThreadPoolExecutor(len(started)))
        for said in pool.map(lambda each, number: each[0].stop(number), started, numbers):
            assert "the same command" in said


def test_an_extraction_ends_while_a_model_hub_or_a_scheduler_is_silent(
    silent: Callable[[], SilentServer], esm2_tiny: Path, tmp_path: Path
) -> None:
    fasta = small_fasta(tmp_path / "p.fasta")
    hub, scheduler = silent(), silent()
    options = ["extract", f"--sequences={fasta}", "--site=embed", f"--store={tmp_path / 'store'}"]
    on_hub = Started(
        [*options, "--model=somebody/some-model"],
        HF_ENDPOINT=f"http://127.0.0.1:{hub.port}",
        HF_HOME=str(tmp_path / "hub"),
        HF_HUB_OFFLINE="0",
    )
    on_dask = Started(
        [*options, f"--model={esm2_tiny}", "--executor=dask", f"--scheduler=tcp://127.0.0.1:{scheduler.port}"]
    )
    with on_hub, on_dask:
        on_hub.until(hub.asked.is_set)
        on_dask.until(scheduler.asked.is_set)
        assert str(tmp_path / "store") in on_hub.stop(signal.SIGINT)
        assert f"{tmp_path / 'store'}: tasks with a commit are kept" in on_dask.stop(signal.SIGTERM)


FORWARD: Final = """
import ctypes, os, signal
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)
from actstore.cli import main
from actstore.extract.model import TransformersModel

def compute(model, residues, kept, forward=TransformersModel.activations):
    if len(list(Path(os.environ["STORE"]).glob("commits/*.json"))) >= 2:
        Path(os.environ["STORE"]).with_name("computing").touch()
        mutex = ctypes.create_string_buffer(64)  # locked twice, it waits for ever, whatever signals come
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
    return forward(model, residues, kept)

TransformersModel.activations = compute
main()
"""


def of_many_tasks(esm2_tiny: Path, fasta: Path, store: str, *, tokens: int = 256) -> list[str]:
    return [
        "extract", f"--model={esm2_tiny}", f"--sequences={fasta}", "--site=embed", f"--store={store}",
        "--encoding=float16", "--set=store.task_rows=256", f"--set=model.tokens_per_batch={tokens}",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_extraction_ends_while_a_forward_pass_runs_and_keeps_what_is_committed(
    number: signal.Signals, esm2_tiny: Path, tmp_path: Path
) -> None:
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    temporary.mkdir()
    command = of_many_tasks(esm2_tiny, small_fasta(tmp_path / "p.fasta"), str(store))
    with Started(command, program=FORWARD, STORE=str(store), TMPDIR=str(temporary)) as extracting:
        extracting.until((tmp_path / "computing").exists)
        said = extracting.stop(number)
    done = len(committed_tasks(LocalObjects(store)))
    assert done >= 2
    assert "the work in hand did not end in time" in said
    assert f"{store}: {done} of " in said
    assert not list(temporary.iterdir())
    again = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{done} tasks of earlier runs" in again.stdout
    assert verify_store(str(store), recompute=False).ok


@pytest.mark.parametrize("moment", ["while workers start", "while they work"])
def test_ctrl_c_goes_to_dask_workers_too_and_they_leave_it_to_the_command(
    moment: str, esm2_tiny: Path, tmp_path: Path
) -> None:
    store, temporary = tmp_path / "store", tmp_path / "temporary"
    temporary.mkdir()
    command = [
        *of_many_tasks(esm2_tiny, small_fasta(tmp_path / "p.fasta"), str(store), tokens=64),
        "--executor=dask", "--workers=2",
    ]  # fmt: skip
    pattern = "actstore-workers-*" if moment == "while workers start" else "../store/commits/*.json"
    with Started(command, TMPDIR=str(temporary)) as extracting:
        extracting.until(lambda: any(temporary.glob(pattern)))
        said = extracting.stop(signal.SIGINT)
    assert f"'actstore extract --store {store}'" in said
    assert "KeyboardInterrupt" not in said
    assert not list(temporary.iterdir())
    assert not (store / "manifest.json").exists()


@pytest.mark.s3
def test_an_extraction_ends_while_a_real_server_falls_silent_and_keeps_what_is_committed(
    gateway: Gateway, bucket: str, proxy_to: Callable[..., FaultProxy], esm2_tiny: Path, tmp_path: Path
) -> None:
    proxy = proxy_to(gateway)
    fasta = small_fasta(tmp_path / "p.fasta")
    options = gateway.storage_options | {"endpoint_url": proxy.url}
    uri = f"s3://{bucket}/store"
    command = [*of_many_tasks(esm2_tiny, fasta, uri), *(f"--storage-option={k}={v}" for k, v in options.items())]

    def commits() -> int:
        return sum(key.startswith("store/commits/") for key in gateway.objects(bucket))

    proxy.faults = Faults(latency_s=0.02)  # tasks take long enough to meet the silence
    with Started(command) as extracting:
        extracting.until(lambda: commits() >= 2)
        proxy.faults = Faults(silent=True)
        requests = proxy.statistics.requests
        extracting.until(lambda: proxy.statistics.requests > requests)
        said = extracting.stop(signal.SIGTERM)
    assert "tasks are committed; the same command continues" in said
    assert f"'actstore extract --store {uri}'" in said
    proxy.faults = Faults()
    kept = commits()
    again = subprocess.run([sys.executable, "-c", PROGRAM, *command], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    found = re.search(r"(\d+) tasks of earlier runs", again.stdout)
    assert found is not None
    assert int(found[1]) >= kept  # a commit that was on its way may have come after they were counted
    assert verify_store(uri, recompute=False, storage_options=gateway.storage_options).ok
