import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from actstore.errors import SourceError, UsageError
from actstore.intake.h5 import open_h5
from actstore.intake.parts import Opening


def written(path: Path, **content: Any) -> Path:
    with h5py.File(path, "w") as file:
        for key, value in content.items():
            file[key] = value
    return path


def test_data_sets_are_proteins(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float16)
    path = written(tmp_path / "a.h5", P2=rows[:5], P10=rows[5:])
    [part] = open_h5(path, Opening()).parts
    assert part.boundaries is not None
    assert part.boundaries.ids == ["P10", "P2"]  # HDF5 lists keys in this order
    np.testing.assert_array_equal(part.arrays["activations"].read(2, 6), np.concatenate([rows[5:], rows[:5]])[2:6])


def test_data_sets_are_sites_on_demand(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5", first=np.ones((7, 4)), last=np.ones((7, 3)), input_ids=np.ones((7, 1), dtype=int))
    [part] = open_h5(path, Opening(keys="sites")).parts
    assert (part.widths, part.rows) == ({"first": 4, "last": 3}, 7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"P1": np.ones(4)}, r"P1 has one vector for a whole protein"),
        ({"group/P1": np.ones((3, 4))}, "group is a group"),
        ({"P1": np.ones((3, 4)), "P2": np.ones((3, 5))}, r"P2 has shape \(3, 5\)"),
        ({"P1": np.array([[b"a"]])}, r"wanted numbers"),
        ({"P1": h5py.SoftLink("/elsewhere")}, "P1 is a link"),
        ({}, "has no data sets"),
    ],
)
def test_other_content_is_refused(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        open_h5(written(tmp_path / "a.h5", **content), Opening())


def test_links_to_other_files_are_not_followed(tmp_path: Path) -> None:
    written(tmp_path / "secret.h5", P1=np.ones((3, 4)))
    path = written(tmp_path / "a.h5", P1=h5py.ExternalLink("secret.h5", "/P1"))
    with pytest.raises(SourceError, match="P1 is a link to another place"):
        open_h5(path, Opening())


def test_numbers_in_other_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(96))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("P1", (3, 4), "f8", external=[(str(tmp_path / "secret"), 0, 96)])
    with pytest.raises(SourceError, match="keeps its numbers in another file"):
        open_h5(tmp_path / "a.h5", Opening())


def test_a_shape_without_numbers_is_no_protein(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("P1", (1 << 40, 1024), "f4", chunks=(1, 1024))
    with pytest.raises(SourceError, match="has numbers that were never written"):
        open_h5(tmp_path / "a.h5", Opening())


def test_two_data_sets_of_one_id(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key in ("0", "1"):
            file.create_dataset(key, data=np.ones((3, 4))).attrs["original_id"] = "P1"
    with pytest.raises(SourceError, match="two data sets have the id 'P1'"):
        open_h5(tmp_path / "a.h5", Opening())


def test_what_is_no_hdf5(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"nothing")
    with pytest.raises(SourceError, match="cannot be read as HDF5"):
        open_h5(tmp_path / "a.h5", Opening())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    assert not open_h5(tmp_path, Opening()).parts


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"pip install 'actstore\[import\]'"):
        open_h5(tmp_path, Opening())
