import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from actstore.errors import SourceError
from actstore.intake.raw import npy_array, safetensors_arrays


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
@pytest.mark.parametrize("shape", [(40, 6), (5, 8, 6)])
def test_rows_of_a_npy_file(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    array = npy_array(tmp_path / "a.npy")
    assert (array.shape, array.is_float) == ((40, 6), True)
    np.testing.assert_array_equal(array.read(7, 19), values.reshape(-1, 6)[7:19].astype(np.float32))


def test_tensors_of_a_safetensors_file_also_of_bfloat16(tmp_path: Path) -> None:
    tensors = {
        "half": torch.randn(9, 4).half(),
        "brain": torch.randn(9, 4).bfloat16(),
        "tokens": torch.arange(9),
    }
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors", metadata={"made": "here"})
    arrays = safetensors_arrays(tmp_path / "a.safetensors")
    for name in ("half", "brain"):
        np.testing.assert_array_equal(arrays[name].read(2, 7), tensors[name][2:7].float().numpy())
    assert not arrays["tokens"].is_float
    assert arrays["tokens"].read_numbers(3, 6).tolist() == [3, 4, 5]


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SourceError, match="holds object, not numbers"):
        npy_array(tmp_path / "a.npy")


def test_fortran_order_is_refused_with_the_way_out(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(np.ones((4, 5))))
    with pytest.raises(SourceError, match="ascontiguousarray"):
        npy_array(tmp_path / "a.npy")


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((400, 5)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"cut off: [\d,]+ bytes"):
        npy_array(path)


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.ones((400, 5)))
    array = npy_array(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SourceError, match="has changed"):
        array.read(300, 400)


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00\xff\xff{"])
def test_what_is_no_npy_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(SourceError, match=r"not a \.npy file"):
        npy_array(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": {"dtype": "F32", "shape": [1 << 40, 8], "data_offsets": [0, 64]}}, "other bytes than its shape"),
        ({"a": {"dtype": "F32", "shape": [100, 8], "data_offsets": [0, 3200]}}, "cut off"),
        ({"a": {"dtype": "F32", "shape": [-2, -8], "data_offsets": [0, 64]}}, "of a kind that cannot be imported"),
        ({"a": {"dtype": "F8_E4M3", "shape": [2, 8], "data_offsets": [0, 16]}}, "of a kind that cannot be imported"),
        ({"a": {"dtype": "F32", "shape": [2, 8], "data_offsets": [-64, 0]}}, "of a kind that cannot be imported"),
        ([1], "no JSON object"),
    ],
)
def test_headers_that_lie(header: object, message: str, tmp_path: Path) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(64))
    with pytest.raises(SourceError, match=message):
        safetensors_arrays(tmp_path / "a.safetensors")


def test_a_header_longer_than_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(SourceError, match=r"not a \.safetensors file"):
        safetensors_arrays(tmp_path / "a.safetensors")
