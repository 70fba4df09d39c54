import io
import os
import pty
import re
import subprocess
import sys

import pytest

from actstore.contracts.progress import Silent
from actstore.view.progress import terminal_progress


class TestInALogFile:
    def test_a_finished_stage_leaves_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("extracting", total=1000, unit="rows", done=400) as stage:
            for _ in range(6):
                stage.advance(100)
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(r"extracting: 1,000 of 1,000 rows, [\d,]+ rows/s\n", err)

    def test_an_unknown_total_is_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("reading", total=None, unit="sequences") as stage:
            stage.advance(7, note="file 2")
        assert re.fullmatch(r"reading: 7 sequences, [\d,]+ sequences/s file 2\n", capsys.readouterr().err)

    def test_long_work_reports_now_and_then_with_the_time_left(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter(range(0, 10_000, 4))
        monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
        with terminal_progress().stage("extracting", total=1000, unit="rows") as stage:
            for _ in range(9):
                stage.advance(100)
        lines = capsys.readouterr().err.splitlines()
        assert 3 <= len(lines) <= 5
        assert re.fullmatch(r"extracting: \d00 of 1,000 rows, \d+ rows/s, \d+ s left", lines[0])

    def test_titles_and_notes_are_shown_as_they_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("[bold]a:smile:", total=None, unit="rows") as stage:
            stage.advance(1, note="[/x]")
        err = capsys.readouterr().err
        assert err.startswith("[bold]a:smile:: 1 rows")
        assert err.endswith(" [/x]\n")

    def test_a_failure_is_not_hidden_behind_a_report(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(KeyError), terminal_progress().stage("extracting", total=10, unit="rows"):
            raise KeyError
        assert capsys.readouterr().err == ""


def test_quiet_shows_nothing() -> None:
    assert isinstance(terminal_progress(quiet=True), Silent)


PROGRAM = """
from actstore.view.progress import terminal_progress
with terminal_progress().stage("extracting [x]", total=1000, unit="rows", done=200) as stage:
    stage.advance(300, note="task [/3]")
    stage.advance(500)
print("done")
"""


def test_a_terminal_gets_a_bar_with_rate_and_time_left() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        drawn = io.BytesIO()
        while block := read(ours):
            drawn.write(block)
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    text = drawn.getvalue().decode()
    assert process.returncode == 0, text
    assert out == b"done\n"
    assert "extracting [x]" in text
    assert "1000/1000" in text
    assert "rows/s" in text
    assert "left" in text
    assert "task [/3]" in text


def read(terminal: int) -> bytes:
    """Return what is there; a terminal whose other end is closed is an error on Linux."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""
