from pathlib import Path

import pytest

from trainers.loggers.marks import Marks


def test_what_was_marked_is_known_again(tmp_path: Path) -> None:
    marks = Marks(tmp_path / "logger")
    assert (marks.run_id, marks.step) == (None, 0)
    marks.name("a1")
    for step in (1, 2):
        marks.add(step)
    again = Marks(tmp_path / "logger")  # as after a kill: the first was never closed
    assert (again.run_id, again.step) == ("a1", 2)
    marks.close()
    again.close()


@pytest.mark.parametrize("rest", ['{"ste', '{"step": "many"}\n', "[1]\n", '{"step": 1e400}\n', "\xff\n"])
def test_a_line_that_is_none_is_left_out(rest: str, tmp_path: Path) -> None:
    (tmp_path / "logged.jsonl").write_text('{"id": "a1"}\n{"step": 5}\n' + rest, encoding="latin-1")
    marks = Marks(tmp_path)
    assert (marks.run_id, marks.step) == ("a1", 5)
    marks.close()


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "logged.jsonl").write_text('{"id": "a1"}\n{"ste')
    marks = Marks(tmp_path)
    marks.add(7)
    marks.close()
    again = Marks(tmp_path)
    assert again.step == 7
    again.close()


@pytest.mark.parametrize("name", ["logger", "logger/logged.jsonl"])
def test_nothing_is_written_through_a_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "elsewhere" / "file")
    with pytest.raises(OSError, match="is a symbolic link"):
        Marks(tmp_path / "logger")
    assert not list((tmp_path / "elsewhere").iterdir())
