"""What is opened below a root is below the root, whatever links lie in the path."""

import os
from pathlib import Path

import pytest

from actstore.access.below_root import LinkInTheWayError, broken_link, open_folder


def place_of(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def test_folders_are_made_if_asked_for(tmp_path: Path) -> None:
    with open_folder(tmp_path / "new" / "root", "a/b", create=True) as folder:
        assert place_of(folder) == (
            (tmp_path / "new/root/a/b").stat().st_dev,
            (tmp_path / "new/root/a/b").stat().st_ino,
        )
    with pytest.raises(FileNotFoundError), open_folder(tmp_path / "new" / "root", "a/c"):
        pass


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere", "circle"])
def test_a_link_in_the_path_is_refused(link: str, target: str, create: bool, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "b" / "c").mkdir(parents=True)
    place = tmp_path / "root" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(place if target == "circle" else tmp_path / target)
    with pytest.raises(LinkInTheWayError) as caught, open_folder(tmp_path / "root", "a/b/c", create=create):
        pass
    assert caught.value.filename == link
    assert f"{link} is a symbolic link" in str(caught.value)
    assert not (tmp_path / "nowhere").exists()


def test_the_root_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk" / "a").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    with open_folder(tmp_path / "root", "a") as folder:
        assert place_of(folder)[1] == (tmp_path / "disk" / "a").stat().st_ino


@pytest.mark.parametrize("path", ["..", "a/../..", "../other"])
def test_no_path_leads_out(path: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="leads out of the folder"), open_folder(tmp_path, path, create=True):
        pass


def test_a_file_in_the_place_of_a_folder_is_not_a_link(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError), open_folder(tmp_path, "a/b", create=True):
        pass


def test_descriptors_are_closed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("a/b/c", "link", "a/b"):
        try:
            with open_folder(tmp_path, path, create=True):
                pass
        except LinkInTheWayError:
            continue
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_first_broken_link_of_a_path_is_named(tmp_path: Path) -> None:
    (tmp_path / "disk" / "b").mkdir(parents=True)
    (tmp_path / "a").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "b" / "c").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    assert broken_link(tmp_path, "a/b/c/d") == "a/b/c"
    assert broken_link(tmp_path, "circle/x") == "circle"
    assert broken_link(tmp_path, "a/b") is None
    assert broken_link(tmp_path, "a/missing") is None
