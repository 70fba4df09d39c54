"""Files are opened, and what would be waited for without end is not."""

import os
import socket
from pathlib import Path

import pytest

from actstore.access.regular_files import IrregularFileError, open_regular


def test_a_file_is_read_by_its_name_or_a_link_to_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        for buffering in (-1, 0):
            with open_regular(tmp_path / name, buffering=buffering) as file:
                assert file.read() == b"content"


def test_a_pipe_a_socket_and_a_device_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name may not be long
    os.mkfifo("pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name in ("pipe", "device", "socket"):
            with pytest.raises(IrregularFileError):
                open_regular(tmp_path / name)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_and_what_is_not_there_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
