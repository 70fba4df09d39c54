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
        assert re.fullmatch(r"extracting: 1,000 of 1,000 rows, [\d.,MG]+ rows/s\n", err)

    def test_an_unknown_total_is_left_out(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("reading", total=None, unit="sequences") as stage:
            stage.advance(7, note="file 2")
        assert re.fullmatch(r"reading: 7 sequences, [\d.,MG]+ sequences/s file 2\n", capsys.readouterr().err)

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
        assert re.fullmatch(r"extracting: \d00 of 1,000 rows, \d+ rows/s, 0:00:\d\d left", lines[0])

    def test_titles_and_notes_are_shown_as_they_are(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("[bold]a:smile:", total=None, unit="rows") as stage:
            stage.advance(1, note="[/x]")
        err = capsys.readouterr().err
        assert err.startswith("[bold]a:smile:: 1 rows")
        assert err.endswith(" [/x]\n")

    def test_a_long_state_gets_a_line_of_its_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        with terminal_progress().stage("training crosscoder-topk", total=2_500_000_000, unit="rows") as stage:
            stage.advance(1_234_567_890, note="EV 0.812, held out 0.790, L0 32.0")
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith("training crosscoder-topk: 1.2G of 2.5G rows, ")
        assert second == "  EV 0.812, held out 0.790, L0 32.0"
        assert len(first) <= 80

    def test_slow_work_has_a_rate_too(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = iter([0.0, 40.0, 40.0, 40.0, 50.0])
        monkeypatch.setattr("time.monotonic", lambda: next(clock))
        with terminal_progress().stage("extracting", total=1000, unit="rows") as stage:
            stage.advance(20)
        assert "20 of 1,000 rows, 0.5 rows/s, 0:32:40 left" in capsys.readouterr().err

    def test_a_failure_is_not_hidden_behind_a_report(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(KeyError), terminal_progress().stage("extracting", total=10, unit="rows"):
            raise KeyError
        assert capsys.readouterr().err == ""


def test_quiet_shows_nothing() -> None:
    assert isinstance(terminal_progress(quiet=True), Silent)


PROGRAM = """
from actstore.view.progress import terminal_progress
with terminal_progress().stage("training crosscoder-topk", total=2_500_000_000, unit="rows", done=200) as stage:
    stage.advance(1_200_000_000, note="EV [/3] 0.812, held out 0.790, L0 32.0")
    stage.advance(1_299_999_800)
print("done")
"""


def drawn(**environment: str) -> str:
    """Return everything that a terminal of 80 columns gets."""
    ours, theirs = pty.openpty()
    variables = os.environ | {"TERM": "xterm", "COLUMNS": "80"} | environment
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=variables
    ) as process:
        os.close(theirs)
        received = io.BytesIO()
        while block := read(ours):
            received.write(block)
        out, _ = process.communicate(timeout=60)
    os.close(ours)
    text = received.getvalue().decode()
    assert process.returncode == 0, text
    assert out == b"done\n"
    return text


def test_a_terminal_gets_a_bar_with_totals_rate_and_time_in_80_columns() -> None:
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip() for line in drawn().replace("\r", "\n").split("\n")]
    assert max(map(len, lines)) <= 80
    assert any(
        re.search(r"^training crosscoder-topk .* 2\.5G/2\.5G rows +[\d.]+[MGT]/s in 0:00:\d\d$", line) for line in lines
    )
    assert "  EV [/3] 0.812, held out 0.790, L0 32.0" in lines


def test_colours_can_be_turned_off() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert coloured.search(drawn())
    assert not coloured.search(drawn(NO_COLOR="1"))


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    text = drawn(TERM="dumb")
    assert "\x1b" not in text
    assert text.startswith("training crosscoder-topk: 2.5G of 2.5G rows, ")


def read(terminal: int) -> bytes:
    """Return what is there; a terminal whose other end is closed is an error on Linux."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""
