"""Log records, warnings and tracebacks of defects show no secrets."""

import io
import logging
import os
import subprocess
import sys
import threading
import warnings
from contextlib import redirect_stderr

import pytest

from actstore.cli.hidden import without_secrets_in_logs

MARKER = "swordfish-4711"
ADDRESS = f"https://{MARKER}@host"

DEFECT = """
import sys
import typer
from actstore.cli.run import run_command

app = typer.Typer(pretty_exceptions_enable=False)

@app.command()
def command() -> None:
    try:
        raise OSError(sys.stdin.read())
    except OSError as error:
        problem = ZeroDivisionError()
        problem.add_note(str(error))
        raise problem from error

run_command(app)
"""


def test_a_log_record_shows_no_secret() -> None:
    out = io.StringIO()
    log = logging.getLogger("somebody.else")
    log.addHandler(handler := logging.StreamHandler(out))
    try:
        with without_secrets_in_logs():
            log.error("cannot reach %s", ADDRESS)
            log.error("it failed", exc_info=OSError(ADDRESS))
    finally:
        log.removeHandler(handler)
    assert MARKER not in out.getvalue()
    assert "cannot reach https://(hidden)@host" in out.getvalue()
    assert "OSError: https://(hidden)@host" in out.getvalue()


def test_a_warning_shows_no_secret() -> None:
    with without_secrets_in_logs():
        shown = warnings.formatwarning(UserWarning(ADDRESS), UserWarning, "file.py", 1)
    assert shown == "file.py:1: UserWarning: https://(hidden)@host\n"


def test_a_thread_that_fails_shows_no_secret() -> None:
    def fail() -> None:
        raise ValueError(ADDRESS)

    out = io.StringIO()
    with redirect_stderr(out), without_secrets_in_logs():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert "ValueError: https://(hidden)@host" in out.getvalue()


@pytest.mark.parametrize("text", [ADDRESS, f"secret={MARKER}", f"https://host?X-Amz-Signature={MARKER}"])
def test_a_defect_keeps_its_traceback_but_shows_no_secret(text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DEFECT],
        input=text,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert MARKER not in done.stdout + done.stderr
    assert done.stderr.count("Traceback") == 2
    assert "ZeroDivisionError" in done.stderr
