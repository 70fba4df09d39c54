"""Tensors of a file are used only if they are the ones that were written."""

from pathlib import Path

import pytest
import torch

from actstore import errors
from trainers.save.files import file_sha256, save_tensors
from trainers.save.tensors import check_tensors, on_cpu, read_tensors, shown, tensor_names


def test_tensors_come_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "a", on_cpu({"x": torch.arange(6.0).view(2, 3).t()}))
    found = read_tensors(tmp_path / "a", file_sha256(tmp_path / "a"), said_by="record")
    assert torch.equal(found["x"], torch.arange(6.0).view(2, 3).t())


def test_a_file_that_is_lost_changed_or_no_file_of_tensors(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match="missing"):
        read_tensors(tmp_path / "a", "0" * 64, said_by="record")
    (tmp_path / "a").write_text("text")
    with pytest.raises(errors.CheckpointError, match="record says 000000000000"):
        read_tensors(tmp_path / "a", "0" * 64, said_by="record")
    with pytest.raises(errors.CheckpointError, match="not a safetensors file"):
        read_tensors(tmp_path / "a", file_sha256(tmp_path / "a"), said_by="record")


@pytest.mark.parametrize(
    "found", [{}, {"x": torch.zeros(3)}, {"x": torch.zeros(2).double()}, {"x": torch.zeros(2), "y": torch.zeros(2)}]
)
def test_names_shapes_and_formats_must_be_those_wanted(found: dict[str, torch.Tensor]) -> None:
    with pytest.raises(errors.CheckpointError, match="expected"):
        check_tensors(Path("a"), found, {"x": torch.zeros(2)})


def test_text_of_a_file_controls_no_terminal() -> None:
    assert shown("\x1b[31mé" + "x" * 1000) == "\\x1b[31m\\xe9" + "x" * 394


def test_a_file_without_tensors_is_said_to_have_none() -> None:
    with pytest.raises(errors.CheckpointError, match="holds no tensors; expected x"):
        check_tensors(Path("a"), {}, {"x": torch.zeros(2)})
    assert tensor_names({"b": torch.zeros(1), "a\x1b": torch.zeros(1)}) == "a\\x1b, b"
