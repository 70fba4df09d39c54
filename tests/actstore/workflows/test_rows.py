"""Single proteins come out of a store by a command, and rows say what they are of."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from actstore.errors import UsageError
from actstore.store.browse.store import open_store
from actstore.workflows.rows import read_rows
from tests.actstore.cli.command import actstore

StoreOf = Callable[..., Path]


@pytest.fixture
def protein(store_of: StoreOf) -> str:
    with open_store(store_of()) as store:
        return str(store.sequences["id"][3].as_py())


def test_a_protein_is_a_table_of_its_residues(store_of: StoreOf, protein: str) -> None:
    done = actstore("rows", store_of(), "--sequence", protein, "--position", "10-12,40", "--site", "embed", "--quiet")
    assert done.code == 0, done.err
    with open_store(store_of()) as store:
        wanted = store.rows(protein, sites="embed", positions=[10, 11, 12, 40])
    for row, position, residue in zip(wanted.row_N, wanted.position_N, wanted.residues, strict=True):
        assert f" {row}   {protein} " in done.out
        assert f" {position}         {residue} " in done.out
    assert "4 rows of 16 features at embed" in done.out


def test_rows_say_which_protein_and_residue_they_are_of(store_of: StoreOf) -> None:
    done = actstore("rows", store_of(), "--rows", "17,99", "--rows", "3-4", "--json", "--quiet")
    with open_store(store_of()) as store:
        wanted = store[[17, 99, 3, 4]]
    rows = done.document["rows"]
    assert [row["row"] for row in rows] == [17, 99, 3, 4]
    assert [row["id"] for row in rows] == wanted.ids
    assert "".join(row["residue"] for row in rows) == wanted.residues
    assert [row["position"] for row in rows] == wanted.position_N.tolist()
    norms = np.linalg.norm(wanted.values_NSD[:, 0], axis=1).tolist()
    assert [row["norms"]["embed"] for row in rows] == pytest.approx(norms)


def test_values_go_into_files_of_three_formats(store_of: StoreOf, protein: str, tmp_path: Path) -> None:
    with open_store(store_of()) as store:
        wanted = store.rows(protein, sites=["embed", "final_norm"])
    for suffix in (".parquet", ".npz", ".csv"):
        out = tmp_path / f"rows{suffix}"
        done = actstore(
            "rows", store_of(), "--sequence", protein, "--site", "embed,final_norm", "--out", out, "--quiet", "--json"
        )
        assert (done.code, done.document["file"]) == (0, str(out)), done.err
    table = pq.read_table(tmp_path / "rows.parquet")
    assert table.equals(wanted.table())
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["values"], wanted.values_NSD)
        assert arrays["sites"].tolist() == ["embed", "final_norm"]
        assert set(arrays["id"]) == {protein}
        assert "".join(arrays["residue"]) == wanted.residues
    flat = pa_csv.read_csv(tmp_path / "rows.csv")
    assert flat.column_names[:6] == ["row", "id", "position", "residue", "embed:0", "embed:1"]
    np.testing.assert_allclose(flat["final_norm:15"].to_numpy(), wanted.values_NSD[:, 1, 15], rtol=1e-6)


def test_a_long_table_says_where_the_rest_is(store_of: StoreOf) -> None:
    done = actstore("rows", store_of(), "--rows", "0-99", "--quiet")
    assert "the first 40; all of them: --out FILE.parquet" in done.out
    assert "norm embed" not in " ".join(done.out.split()), "four sites would not fit"
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no rows asked for: give --sequence ID, or --rows 17,99"),
        (("--rows=1", "--position=3"), "--position chooses residues of proteins"),
        (("--sequence=nobody",), "no sequence 'nobody' in this store"),
        (("--rows=99999999",), "no row 99,999,999; rows are numbered from 0 to"),
        (("--rows=a",), "--rows takes whole numbers and ranges such as 17,99 or 10-50, not 'a'"),
        (("--rows=9-3",), "--rows 9-3: the end is before the start"),
        (("--rows=0-99999999999",), "--rows 0-99999999999: too many numbers"),
        (("--rows=0", "--site=embd"), "did you mean 'embed'"),
        (("--rows=0", "--out=rows.xlsx"), "rows are written as .parquet, .npz, .csv"),
    ],
)
def test_wrong_requests_exit_with_2(
    store_of: StoreOf, options: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = actstore("rows", store_of(), *options, "--quiet")
    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_replaced(store_of: StoreOf, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("precious")
    done = actstore("rows", store_of(), "--rows=0", "--out", tmp_path / "mine.csv")
    assert (done.code, done.out) == (2, "")
    assert "exists; choose another name or remove it" in done.err
    assert (tmp_path / "mine.csv").read_text() == "precious"


def test_from_python_too(store_of: StoreOf, protein: str) -> None:
    found = read_rows(store_of(), sequences=[protein], rows=[5], sites=["embed"])
    assert found.row_N[-1] == 5
    assert found.ids[0] == protein
    with pytest.raises(UsageError, match="no rows asked for"):
        read_rows(store_of())


def test_json_is_one_document(store_of: StoreOf, protein: str) -> None:
    done = actstore("rows", store_of(), "--sequence", protein, "--json")
    assert json.loads(done.out)["width"] == 16
