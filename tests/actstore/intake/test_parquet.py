import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actstore.errors import SourceError
from actstore.intake.parquet import open_bionemo
from actstore.intake.parts import Opened, Opening

VALUES = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
METADATA = {"n_samples": 20, "hidden_dim": 4, "n_shards": 1, "shard_size": 100_000}


def opened(folder: Path, table: Any, scratch: Path, **changes: object) -> Opened:
    pq.write_table(table, folder / "shard_00000.parquet")
    (folder / "metadata.json").write_text(json.dumps(METADATA | changes))
    return open_bionemo(folder, Opening(scratch=scratch))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def vectors(values: np.ndarray[Any, Any]) -> pa.Table:
    return pa.table({"act": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])})


def test_both_forms_of_shards(folder: Path, tmp_path: Path) -> None:
    for table in (vectors(VALUES), pa.table({f"dim_{index}": VALUES[:, index] for index in range(4)})):
        found = opened(folder, table, tmp_path, model_name="evo2")
        assert found.model == "evo2"
        assert found.parts[0].boundaries is None
        np.testing.assert_array_equal(found.parts[0].arrays["activations"].read(3, 17), VALUES[3:17])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_samples": 21}, "says 21 rows, its shards have 20"),
        ({"n_shards": 2}, "says 2 shards of 4 features, and 1 .parquet files"),
        ({"hidden_dim": 5}, "not a column of 5 numbers"),
        ({"hidden_dim": -1}, "shards of -1 features"),
        ({"hidden_dim": "many"}, "shards of many features"),
    ],
)
def test_metadata_that_lies(changes: dict[str, object], message: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        opened(folder, vectors(VALUES), tmp_path, **changes)


def test_other_tables(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has neither act nor dim_0 to dim_3"):
        opened(folder, pa.table({"dim_0": VALUES[:, 0]}), tmp_path)
    # Older versions of pyarrow cannot even read such a column.
    with pytest.raises(SourceError, match=r"not a column of 4 numbers|Expected all lists to be of size=4"):
        opened(folder, pa.table({"act": pa.array([[1.0] * 4, None], pa.list_(pa.float32(), 4))}), tmp_path)
    opened(folder, vectors(VALUES), tmp_path)
    (folder / "shard_00000.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        open_bionemo(folder, Opening(scratch=tmp_path))


def test_no_room_for_the_rows(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="set TMPDIR to a folder with room"):
        opened(folder, vectors(VALUES), tmp_path / "gone")
