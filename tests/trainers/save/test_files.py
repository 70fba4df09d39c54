"""Files of a run are whole, have the usual permissions, and are never written through a link."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from actstore import errors
from trainers.save.files import open_to_append, replace_file, save_tensors, writing_to


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_the_umask_decides_on_permissions(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        save_tensors(tmp_path / "weights", {"W": torch.ones(3)})
        replace_file(tmp_path / "result", b"{}")
        open_to_append(tmp_path / "log").close()
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "weights": mode,
        "result": mode,
        "log": mode,
    }
    assert torch.equal(load_file(tmp_path / "weights")["W"], torch.ones(3))


def test_a_file_is_replaced_and_a_leftover_goes(tmp_path: Path) -> None:
    (tmp_path / "result").write_bytes(b"old")
    (tmp_path / ".result.partial").write_bytes(b"half of what a killed ru")
    replace_file(tmp_path / "result", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("result", b"new")]


def test_what_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "log").symlink_to("elsewhere")
    with (
        pytest.raises(errors.TrainingError, match=r"cannot be written: .*log is a symbolic link.*another --out"),
        writing_to(tmp_path),
    ):
        open_to_append(tmp_path / "log")
    assert not (tmp_path / "elsewhere").exists()
