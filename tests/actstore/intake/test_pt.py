from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.errors import SourceError
from actstore.intake.parts import Opened, Opening
from actstore.intake.pt import open_pt, read_torch_tensors


def opened(folder: Path, content: object) -> Opened:
    torch.save(content, folder / "a.pt")
    return open_pt(folder, Opening())


class Runs:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_tensor_alone_has_one_site(tmp_path: Path) -> None:
    values = torch.randn(30, 8).bfloat16()
    [part] = opened(tmp_path, values).parts
    assert part.boundaries is None
    np.testing.assert_array_equal(part.arrays["activations"].read(3, 9), values[3:9].float().numpy())


def test_names_of_tensors_of_the_same_rows_are_sites(tmp_path: Path) -> None:
    found = opened(tmp_path, {"layer 3": torch.randn(4, 5, 8), "layer 4": torch.randn(4, 5, 6), "loss": 0.5})
    assert found.parts[0].widths == {"layer_3": 8, "layer_4": 6}
    assert found.said == ["the names of tensors are sites (layer_3, layer_4)"]


def test_names_of_tensors_of_other_rows_are_ids_and_so_they_are_on_demand(tmp_path: Path) -> None:
    found = opened(tmp_path, {"P1": torch.randn(4, 8), "P2": torch.randn(7, 8)})
    assert found.parts[0].boundaries is not None
    assert found.parts[0].boundaries.ids == ["P1", "P2"]
    torch.save({"P1": torch.randn(4, 8), "P2": torch.randn(4, 8)}, tmp_path / "a.pt")
    [part] = open_pt(tmp_path, Opening(keys="ids")).parts
    assert part.boundaries is not None
    assert part.boundaries.length_S.tolist() == [4, 4]


def test_a_mask_leaves_out_padding(tmp_path: Path) -> None:
    mask = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1]])
    values = torch.randn(2, 4, 8)
    [part] = opened(tmp_path, {"acts": values, "attention_mask": mask, "ids": ["P1", "P2"]}).parts
    assert part.boundaries is not None
    assert (part.boundaries.start_S.tolist(), part.boundaries.length_S.tolist()) == ([1, 4], [2, 4])
    assert part.boundaries.ids == ["P1", "P2"]
    with pytest.raises(SourceError, match="mask of sequence 0 has a gap"):
        opened(tmp_path, {"acts": values, "attention_mask": torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]])})


def test_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    with pytest.raises(SourceError, match="more than tensors and plain values"):
        opened(tmp_path, {"acts": torch.randn(4, 8), "extra": Runs(trace)})
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mean": torch.randn(8)}, r"no activations of shape \[N, D\] or \[B, T, D\] here: mean \(8,\)"),
        ({}, "it is empty"),
        ([torch.randn(4, 8)], "it is empty"),
        (torch.randn(1, 8).expand(1 << 40, 8), "not contiguous"),
        (torch.randn(0, 8), "no activations"),
        ({"a": torch.randn(4, 8), "ids": ["P1"]}, "nothing says which rows are whose"),
        ({"a": torch.randn(2, 4, 8), "ids": ["P1"]}, "1 ids for 2 sequences"),
    ],
)
def test_what_is_no_folder_of_activations(content: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, content)


def test_files_that_torch_cannot_map(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"no tensor")
    with pytest.raises(SourceError, match=r"torch cannot read it|more than tensors"):
        open_pt(tmp_path, Opening())
    torch.save(torch.randn(4, 8), tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(SourceError, match="save it again"):
        open_pt(tmp_path, Opening())


def test_other_content_than_when_it_was_looked_at(tmp_path: Path) -> None:
    for number in range(70):  # more than are kept mapped
        torch.save(torch.full((4, 8), float(number)), tmp_path / f"{number:02d}.pt")
    parts = open_pt(tmp_path, Opening()).parts
    assert [part.arrays["activations"].read(0, 1)[0, 0] for part in parts] == list(range(70))
    torch.save(torch.randn(3, 8), tmp_path / "00.pt")
    parts[-1].arrays["activations"].read(0, 1)
    for part in parts[1:66]:
        part.arrays["activations"].read(0, 1)
    with pytest.raises(SourceError, match="has changed"):
        parts[0].arrays["activations"].read(0, 1)


def test_a_state_dict_is_read_as_copies(tmp_path: Path) -> None:
    path = tmp_path / "ae.pt"
    torch.save({"weight": torch.arange(6.0).reshape(2, 3).T, "epoch": 7, 3: torch.ones(1)}, path)
    found = read_torch_tensors(path)
    path.unlink()
    assert list(found) == ["weight"]
    assert torch.equal(found["weight"], torch.arange(6.0).reshape(2, 3).T)
    assert found["weight"].is_contiguous()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.ones(2), "holds no dictionary of tensors"),
        ({"a": torch.ones(2, 2).to_sparse()}, "a is no plain tensor"),
        ({"a": torch.ones(2, device="meta")}, "a is no plain tensor"),
        ({"a": torch.ones(1).expand(1 << 40)}, "a claims more numbers than there are"),
    ],
)
def test_what_is_no_state_dict(content: object, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "ae.pt")
    with pytest.raises(SourceError, match=message):
        read_torch_tensors(tmp_path / "ae.pt")
