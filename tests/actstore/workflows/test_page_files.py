from pathlib import Path

import pytest

from actstore.errors import UsageError
from actstore.workflows.page_files import check_page_file, write_page_file


def test_a_page_is_replaced_as_a_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_page_file(page, "one")
    write_page_file(page, "zwölf")
    assert page.read_text("utf-8") == "zwölf"
    assert list(tmp_path.iterdir()) == [page]


def test_an_interrupted_write_leaves_the_old_page_and_nothing_else(tmp_path: Path) -> None:
    class Broken(str):
        """Text that cannot be encoded to its end."""

        __slots__ = ()

    page = tmp_path / "page.html"
    write_page_file(page, "old")
    with pytest.raises(UnicodeEncodeError):
        write_page_file(page, Broken("new \ud800"))
    assert page.read_text() == "old"
    assert list(tmp_path.iterdir()) == [page]


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    target, page = tmp_path / "precious", tmp_path / "page.html"
    target.write_text("precious")
    page.symlink_to(target)
    write_page_file(page, "new")
    assert target.read_text() == "precious"
    assert page.read_text() == "new"
    assert not page.is_symlink()


def test_places_where_no_page_can_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place, problem in ((tmp_path / "folder", "is there, and no file"), (tmp_path / "no" / "x", "no folder")):
        with pytest.raises(UsageError, match=rf"--html .*{problem}"):
            check_page_file(place)


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--html .*: cannot be written: File name too long"):
        write_page_file(tmp_path / ("x" * 300), "page")
