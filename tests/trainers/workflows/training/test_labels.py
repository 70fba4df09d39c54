"""Labels come from Parquet and join with the sequences of a store."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from actstore import Stream, errors, open_store, open_stream
from trainers.fit.config import TrainConfig
from trainers.fit.rows.places import RowPlaces
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store
from trainers.workflows.training.labels import read_labels


@pytest.fixture
def stream(store: Path) -> Iterator[Stream]:
    with open_stream(store, sites="resid_post.3", batch_rows=512) as opened:
        yield opened


@pytest.fixture(scope="module")
def residues(store: Path) -> dict[str, list[Any]]:
    """Every residue of the split of training, and whether it is hydrophobic."""
    with open_store(store) as opened:
        table = opened.sequences.to_pylist()
    proteins = [one for one in table if one["split"] == "train"]
    return {
        "sequence": [one["id"] for one in proteins for _ in one["residues"]],
        "position": [position for one in proteins for position in range(len(one["residues"]))],
        "hydrophobic": [letter in "AILMFVWY" for one in proteins for letter in one["residues"]],
        "letter": [letter for one in proteins for letter in one["residues"]],
    }


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_every_row_of_a_batch_has_the_label_of_its_residue(
    stream: Stream, residues: dict[str, list[Any]], tmp_path: Path
) -> None:
    labels = read_labels(write(tmp_path / "a.parquet", residues), stream, split="train")
    kinds = [(column.name, column.kind) for column in labels.facts.columns]
    assert kinds == [("hydrophobic", "bool"), ("letter", "category")]
    by_place = dict(zip(zip(residues["sequence"], residues["position"], strict=True), residues["letter"], strict=True))
    batch = next(iter(stream))
    found = labels.of(RowPlaces.of(batch))
    assert found.index_R.tolist() == list(range(512))
    ids = stream.ids(batch)
    wanted = [by_place[each, position] for each, position in zip(ids, batch.position_B.tolist(), strict=True)]
    assert [labels.facts.columns[1].classes[int(value)] for value in found.value_RC[:, 1]] == wanted
    assert found.value_RC[:, 0].tolist() == [letter in "AILMFVWY" for letter in wanted]


def test_residue_numbers_count_from_one(stream: Stream, residues: dict[str, list[Any]], tmp_path: Path) -> None:
    numbered = {
        "id": residues["sequence"],
        "residue_number": [one + 1 for one in residues["position"]],
        "hydrophobic": residues["hydrophobic"],
    }
    from_0 = {name: residues[name] for name in ("sequence", "position", "hydrophobic")}
    places = RowPlaces.of(next(iter(stream)))
    have, want = (
        read_labels(write(tmp_path / name, columns), stream, split="train").of(places)
        for name, columns in (("a.parquet", numbered), ("b.parquet", from_0))
    )
    np.testing.assert_array_equal(have.value_RC, want.value_RC)


def test_residues_of_other_splits_and_missing_values_are_left_out(
    stream: Stream, residues: dict[str, list[Any]], tmp_path: Path
) -> None:
    first = residues["sequence"][0]
    columns = {
        "sequence": [first, first, first, "P99999"],
        "position": [0, 1, 2, 0],
        "exposure": [0.5, None, 2.5, 9.0],
        "helix": [True, False, None, True],
    }
    labels = read_labels(write(tmp_path / "a.parquet", columns), stream, split="train")
    assert labels.facts.residues == 3
    assert labels.facts.columns[0].start == (1.5,)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sequence": ["X1", "X2"], "position": [0, 1], "a": [True, False]}, r"none of its sequences is in split"),
        ({"protein": ["X1"], "position": [0], "a": [True]}, r"needs one column named sequence or id"),
        ({"sequence": ["X1"], "a": [True]}, r"needs one column named position or residue_number"),
        ({"sequence": ["X1"], "position": [0.5], "a": [True]}, r"needs a whole number in every row"),
        ({"sequence": ["X1"], "position": [-1], "a": [True]}, r"goes from -1 to -1; it counts from 0"),
        ({"sequence": ["X1"], "residue_number": [0], "a": [True]}, r"it counts from 1"),
        ({"sequence": ["HERE", "HERE"], "position": [3, 3], "a": [True, False]}, r"residue 3 .* has two rows"),
        ({"sequence": ["HERE"], "position": [3]}, r"no column with labels"),
        ({"sequence": ["HERE"], "position": [3], "a": [1]}, r"label a is int64; write it as bool, as text"),
        ({"sequence": ["HERE", "HERE"], "position": [3, 4], "a": [True, True]}, r"all 2 values of label a"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    columns: dict[str, list[Any]],
    message: str,
    stream: Stream,
    residues: dict[str, list[Any]],
    tmp_path: Path,
) -> None:
    if "sequence" in columns:
        columns = columns | {"sequence": [one.replace("HERE", residues["sequence"][0]) for one in columns["sequence"]]}
    with pytest.raises(errors.UsageError, match=message):
        read_labels(write(tmp_path / "a.parquet", columns), stream, split="train")


def test_a_file_that_joins_nothing_is_told_the_ids_of_both_sides(
    stream: Stream, residues: dict[str, list[Any]], tmp_path: Path
) -> None:
    file = write(tmp_path / "a.parquet", {"id": ["sp|P1|A", "sp|P2|B"], "position": [0, 1], "a": [True, False]})
    with pytest.raises(errors.UsageError) as refusal:
        read_labels(file, stream, split="train")
    assert "'sp|P1|A', 'sp|P2|B'" in str(refusal.value)
    assert any(repr(one) in str(refusal.value) for one in set(residues["sequence"]))


def test_what_is_no_parquet_is_refused(stream: Stream, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("sequence,position\n")
    with pytest.raises(errors.UsageError, match="cannot be read as Parquet"):
        read_labels(tmp_path / "a.parquet", stream, split="train")


def test_a_run_learns_to_tell_a_label_and_says_how_well(
    store: Path, residues: dict[str, list[Any]], tmp_path: Path
) -> None:
    file = write(tmp_path / "a.parquet", {name: residues[name] for name in ("sequence", "position", "hydrophobic")})
    config = TrainConfig(
        sites=("resid_post.3",), latents=128, k=16, steps=60, batch_rows=256, labels=str(file), probe_weight=0.1
    )
    out = tmp_path / "run"
    read_from_store(store, config, RunOptions(out=out, device="cpu", checkpoint_every=30))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert all(line["labelled_rows"] >= 200 for line in lines[:-1])
    assert lines[0]["probe"] == pytest.approx(0.1, rel=0.05)
    assert lines[-1]["probe"] < 0.07
    resumed = read_from_store(None, None, RunOptions(resume=out, device="cpu"))
    assert resumed.resumed_from_step == 60
