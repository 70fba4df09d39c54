"""From exceptions to exit codes."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from actstore import errors
from actstore.cli.run import run_command
from tests.actstore.cli.command import Outcome
from tests.actstore.workflows.stores import write_fasta

EVERY_ERROR = [getattr(errors, name) for name in errors.__all__]


def run(error: BaseException | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(SystemExit) as leaving:
        run_command(app)
    return Outcome(int(leaving.value.code or 0), *capsys.readouterr())


def test_what_succeeds_leaves_with_0(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(None, capsys, monkeypatch) == Outcome(0, "", "")


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_every_error_of_the_project_is_a_sentence(
    error: type[errors.ActstoreError], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(error("store: no [such] thing :x: \\[a]"), capsys, monkeypatch)
    assert done == Outcome(
        2 if issubclass(error, errors.UsageError) else 1, "", "error: store: no [such] thing :x: \\[a]\n"
    )


def test_a_long_message_is_not_folded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(errors.StoreError("/a/path" * 60), capsys, monkeypatch)
    assert done.err == f"error: {'/a/path' * 60}\n"


def test_an_interruption_leaves_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(KeyboardInterrupt(), capsys, monkeypatch).code == 130


SIGNALLED = """
import os, signal, sys, tempfile, time, typer
signal.signal(signal.SIGINT, signal.default_int_handler)
from actstore import errors
from actstore.cli.run import run_command
from actstore.leaving import if_stopped

app = typer.Typer(pretty_exceptions_enable=False)

@app.command()
def command(folder: str, number: int, kind: str) -> None:
    with tempfile.TemporaryDirectory(dir=folder):
        if kind == "error":
            signal.signal(number, lambda *_: None)
            os.kill(os.getpid(), number)
            time.sleep(0.5)
            raise errors.WorkerError("a worker got the same signal")
        with if_stopped(lambda: "/store: all is as it was"):
            os.kill(os.getpid(), number)

run_command(app)
"""


@pytest.mark.parametrize("kind", ["work", "error"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_with_its_code_once_what_was_begun_is_put_away(
    number: signal.Signals, kind: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path), str(int(number)), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + number, "")
    name = {signal.SIGINT: "Ctrl-C (SIGINT)", signal.SIGTERM: "SIGTERM"}[number]
    told = {"work": f"stopped by {name}: /store: all is as it was", "error": "error: a worker got the same signal"}
    assert done.stderr == f"{told[kind]}\n"
    assert not list(tmp_path.iterdir())


def test_a_defect_keeps_its_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["command"])
    with pytest.raises(ZeroDivisionError):
        run_command(app)


@pytest.mark.slow
def test_control_c_in_the_middle_of_an_extraction_leaves_with_130_and_a_store_to_continue(
    esm2_tiny: Path, tmp_path: Path
) -> None:
    fasta = write_fasta(tmp_path / "a.fasta", {f"P{index}": "MKTAYIAKQR" * 40 for index in range(400)})
    arguments = [
        "extract", f"--model={esm2_tiny}", f"--sequences={fasta}", f"--store={tmp_path / 'store'}",
        "--encoding=float16", "--set=store.task_rows=512",
    ]  # fmt: skip
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\nfrom actstore.cli import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as process:
        while not list(tmp_path.glob("store/commits/*.json")):
            assert process.poll() is None, process.communicate()
            select.select([], [], [], 0.01)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - began < 5
    assert b"Not complete" in out
    assert b"tasks are committed; the same command continues" in err
    assert b"Traceback" not in err
    assert not list(tmp_path.glob("store/.partial/*"))
    assert not (tmp_path / "store" / "manifest.json").exists()
