import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from actstore.errors import SourceError
from actstore.intake.arrow import open_arrow
from actstore.intake.parts import Opened, Opening


def saved(folder: Path, **columns: Any) -> Path:
    """Write the folder that `datasets.save_to_disk` writes, in two batches."""
    table = pa.table(columns)
    with pa.OSFile(str(folder / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=max(1, table.num_rows // 2))
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    return folder


def opened(folder: Path, **columns: Any) -> Opened:
    return open_arrow(saved(folder, **columns), Opening())


VALUES = np.arange(6 * 3 * 4, dtype=np.float32).reshape(6, 3, 4)
NESTED = VALUES.tolist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.list_(pa.float32())),
        pa.large_list(pa.list_(pa.float64())),
        pa.list_(pa.list_(pa.float32(), 4)),
        pa.list_(pa.list_(pa.float32(), 4), 3),
    ],
)
def test_lists_of_vectors_are_sequences(kind: pa.DataType, tmp_path: Path) -> None:
    [part] = opened(tmp_path, acts=pa.array(NESTED, kind)).parts
    assert part.boundaries is not None
    assert part.boundaries.length_S.tolist() == [3] * 6
    np.testing.assert_array_equal(part.arrays["acts"].read(4, 14), VALUES.reshape(-1, 4)[4:14])


def test_vectors_are_rows_without_boundaries(tmp_path: Path) -> None:
    [part] = opened(tmp_path, acts=pa.array(NESTED[0], pa.list_(pa.float32())), label=["a"] * 3).parts
    assert part.boundaries is None
    np.testing.assert_array_equal(part.arrays["acts"].read(0, 3), VALUES[0])


def test_arrays_of_the_library_with_its_types_registered(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"acts": datasets.Array2D((3, 4), "float32"), "token_ids": datasets.Sequence(datasets.Value("int32"), length=3)}
    )
    datasets.disable_progress_bars()
    content = {"acts": list(VALUES), "token_ids": np.arange(18).reshape(6, 3).tolist()}
    datasets.Dataset.from_dict(content, features=features).save_to_disk(str(tmp_path / "set"))
    [part] = open_arrow(tmp_path / "set", Opening()).parts
    np.testing.assert_array_equal(part.arrays["acts"].read(0, 18), VALUES.reshape(-1, 4))
    assert part.tokens is not None
    assert part.tokens(4, 8).tolist() == [4, 5, 6, 7]


def test_columns_that_do_not_fit_the_rows_are_left_out_and_said(tmp_path: Path) -> None:
    notes = pa.array([["a"], None] * 3)
    found = opened(
        tmp_path, notes=notes, acts=pa.array(NESTED), sequence=["MKT"] * 5 + ["M?T"], input_ids=pa.array([[1, 2]] * 6)
    )
    assert found.parts[0].tokens is None
    assert found.parts[0].boundaries is not None
    assert found.parts[0].boundaries.residues is None
    assert found.said == [
        "the column of residues is left out: it has not one letter for each row",
        "the column input_ids is left out: it has not one whole number for each row",
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["a", "b"]}, "no column of vectors among text"),
        ({"acts": pa.array([[[1.0, 2.0]], [[1.0]]])}, "vectors of several lengths"),
        ({"acts": pa.array([[[1.0, 2.0]], None])}, "has empty places"),
        ({"acts": pa.array([[[1.0, None]], [[1.0, 2.0]]])}, "has empty places"),
        (
            {"a": pa.array([[[1.0]], [[1.0]]]), "b": pa.array([[[1.0]], [[1.0], [2.0]]])},
            "column b has other rows than a",
        ),
    ],
)
def test_what_is_no_data_set_of_activations(columns: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        opened(tmp_path, **columns)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"_data_files": [{"filename": "../secret.arrow"}]}, "not in its folder"),
        ({"_data_files": [{"filename": "/etc/passwd"}]}, "not in its folder"),
        ({"_data_files": "data.arrow"}, "names no data files"),
        ({"_data_files": [{"filename": "gone.arrow"}]}, "cannot be read as Arrow"),
        ({"_data_files": [{"filename": "data.arrow"}], "_indices_data_files": [{}]}, "flatten_indices"),
        ([], "wanted a JSON object"),
    ],
)
def test_states_that_lie(state: object, message: str, tmp_path: Path) -> None:
    saved(tmp_path, acts=pa.array(NESTED))
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(SourceError, match=message):
        open_arrow(tmp_path, Opening())


def test_several_data_sets_are_named(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(SourceError, match=r"holds the data sets train, test; name the folder of one"):
        open_arrow(tmp_path, Opening())


def test_damage_anywhere_is_no_crash(tmp_path: Path) -> None:
    """Offsets in a file would be addresses: they are checked first."""
    path = saved(tmp_path, acts=pa.array(NESTED)) / "data.arrow"
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(sound), 300).tolist():
        damaged = bytearray(sound)
        damaged[place] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            for part in open_arrow(tmp_path, Opening()).parts:
                part.arrays["acts"].read(0, part.rows)
        except (SourceError, KeyError):  # the name of the column may have changed
            refused += 1
    assert refused > 30
