import json
import sys
from pathlib import Path

import pytest

from benchmarks.contestants.contract import Setting
from benchmarks.contestants.lines import LineProcess, command
from benchmarks.contestants.process import Process


def test_a_module_is_started_by_name_in_the_interpreter_that_has_it() -> None:
    assert command(["benchmarks.stream", "--quick"]) == [sys.executable, "-m", "benchmarks.stream", "--quick"]
    assert command(["some"], Path("/other/python"))[0] == "/other/python"


def test_a_process_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"nobody failed with status 1:\n(.|\n)*No module named"):
        LineProcess(["benchmarks.contestants.no_such_module"], name="nobody", log=tmp_path / "log")


def test_a_contestant_answers_every_line_until_it_is_told_to_finish(stream_rows: Path, setting: Setting) -> None:
    with Process("pread", setting, "quick") as process:
        assert process.opened["rows"] == setting.workload.rows
        assert process.measure()["epochs"] >= 1
        assert process.finish().keys() == {"peak_bytes", "anonymous_bytes_after"}
    assert json.dumps(process.opened)
    assert list(stream_rows.glob("pread.*.log"))
