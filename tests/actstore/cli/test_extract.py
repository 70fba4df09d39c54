"""`actstore extract`: options over the recipe, one document, and every bad input."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.actstore.cli.command import Outcome, actstore
from tests.actstore.workflows.stores import write_fasta

Extract = Callable[..., Outcome]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def extract(esm2_tiny: Path, store: Path) -> Extract:
    """Run `actstore extract` on one file with the shipped model, one site, and any further options."""

    def run(sequences: Path, *options: str) -> Outcome:
        model = [] if any(option.startswith("--model=") for option in options) else [f"--model={esm2_tiny}"]
        return actstore("extract", *model, "--site=embed", f"--sequences={sequences}", f"--store={store}", *options)

    return run


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "good.fasta", {f"P{index}": "MKTAYIAKQR" * (index + 1) for index in range(8)})


class TestOptions:
    def test_json_is_one_document_and_progress_goes_to_standard_error(self, extract: Extract, good: Path) -> None:
        done = extract(good, "--json")
        assert done.code == 0
        assert {"uri", "manifest_sha256", "rows", "tasks_total", "rows_per_s"} <= done.document.keys()
        assert done.document["rows"] == 360
        for stage in ("reading sequences", "calibrating", "extracting: 360 of 360 rows"):
            assert stage in done.err
        assert "rows/s" in done.err

    def test_quiet_is_quiet(self, extract: Extract, good: Path) -> None:
        done = extract(good, "--quiet")
        assert (done.code, done.err) == (0, "")
        assert "360 in" in done.out

    def test_every_one_reaches_the_recipe(self, extract: Extract, good: Path, store: Path, tmp_path: Path) -> None:
        clusters = tmp_path / "clusters.tsv"
        clusters.write_text("".join(f"P0\tP{index}\n" for index in range(8)))
        done = extract(
            good, "--encoding=bfloat16", "--fraction=0.5", "--max-per-sequence=9", f"--clusters={clusters}",
            "--on-bad-record=skip", "--long-sequences=truncate", "--compressor=zstd", "--seed=4", "--dtype=bfloat16",
            "--site=resid_post.0", "--set=store.task_rows=512", "--set=splits.fractions={train=0.5,test=0.5}",
        )  # fmt: skip
        assert done.code == 0, done.err
        recipe = json.loads((store / "recipe.json").read_bytes())["recipe"]
        assert recipe["store"] | {"encoding": "bfloat16", "compressor": "zstd", "task_rows": 512} == recipe["store"]
        assert recipe["rows"] == {"fraction": 0.5, "max_per_sequence": 9}
        assert recipe["splits"] == {"clusters": str(clusters), "fractions": {"train": 0.5, "test": 0.5}}
        assert (recipe["seed"], recipe["model"]["dtype"], recipe["sites"]) == (4, "bfloat16", ["embed", "resid_post.0"])
        assert (recipe["corpus"]["on_bad_record"], recipe["corpus"]["long_sequences"]) == ("skip", "truncate")

    def test_they_take_precedence_over_the_recipe(
        self, good: Path, esm2_tiny: Path, store: Path, tmp_path: Path
    ) -> None:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(
            f'sites = ["final_norm"]\n[model]\nname = "{esm2_tiny}"\n[corpus]\nsequences = "good.fasta"\n'
            '[store]\nencoding = "float16"\ntask_rows = 256\n'
        )
        done = actstore("extract", recipe, "--store", store, "--encoding", "int8", "--json")
        assert done.code == 0, done.err
        frozen = json.loads((store / "recipe.json").read_bytes())
        assert (frozen["recipe"]["store"]["encoding"], frozen["recipe"]["store"]["task_rows"]) == ("int8", 256)
        assert [name for name, *_ in frozen["sites"]] == ["final_norm"]

    def test_sequences_come_from_several_files(self, extract: Extract, good: Path, tmp_path: Path) -> None:
        table = tmp_path / "more.parquet"
        pq.write_table(pa.table({"id": ["Q1", "Q2"], "sequence": ["MKT", "mkv*"]}), table)
        assert extract(good, f"--sequences={table}", "--json").document["rows"] == 366


TRUNCATED = gzip.compress("".join(f">P{index}\nMKTAYIAKQR\n" for index in range(20_000)).encode())[:-200]

BAD_FILES: dict[str, tuple[bytes, list[str]]] = {
    "a letter outside the alphabet": (b">P1\nMKT\n>P2\nMK\nJT\n", ["record 2 (line 3)", "'P2'", "'J' at residue 3"]),
    "a lower-case one": (b">P1\nmkj\n", ["record 1 (line 1)", "'J' at residue 3"]),
    "a star inside": (b">P1\nMK*T*\n", ["record 1 (line 1)", "'*' at residue 3"]),
    "an empty sequence": (b">P1\nMKT\n>P2\n>P3\nMKT\n", ["record 2 (line 3)", "'P2' is empty"]),
    "nothing but a star": (b">P1\n*\n", ["record 1 (line 1)", "is empty"]),
    "no id": (b">P1\nMKT\n> \nMKT\n", ["record 2 (line 3)", "no id"]),
    "a duplicate id": (b">P1\nMKT\n>P2\nMKT\n>P1 again\nMKV\n", ["record 3 (line 5)", "'P1'", "record 1 (line 1)"]),
    "no FASTA": (b"id,sequence\nP1,MKT\n", ["line 1", "not a FASTA file"]),
    "HTML": (b"\n\n<!DOCTYPE html>\n", ["line 3", "not a FASTA file"]),
    "nothing": (b"", ["the file is empty"]),
    "bytes that are no text": (b">P1\nMKT\n>P2\nM\xff\xfeT\n", ["record 2, line 4", "0xff"]),
    "a truncated gzip": (TRUNCATED, ["proteins.fasta: ", "the last good record is"]),
    "a damaged gzip": (b"\x1f\x8b\x08\x00" + b"x" * 60, ["gzip"]),
    "a truncated Parquet": (b"PAR1" + b"x" * 60, ["Parquet"]),
}


@pytest.mark.parametrize(("content", "wanted"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_named_with_record_and_line_and_nothing_is_left_behind(
    content: bytes, wanted: list[str], extract: Extract, tmp_path: Path, store: Path
) -> None:
    fasta = tmp_path / "proteins.fasta"
    fasta.write_bytes(content)
    done = extract(fasta, "--json")
    assert (done.code, done.out) == (1, "")
    last = done.err.splitlines()[-1]
    assert last.startswith(f"error: {fasta}")
    assert all(part in last for part in wanted), last
    assert "Traceback" not in done.err
    assert not store.exists()


def test_a_file_that_is_not_there_is_named(extract: Extract, tmp_path: Path, store: Path) -> None:
    done = extract(tmp_path / "none.fasta")
    assert (done.code, done.out) == (1, "")
    assert f"{tmp_path / 'none.fasta'}: there is no such file" in done.err
    assert not store.exists()


def test_bad_records_can_be_skipped_and_are_counted(extract: Extract, tmp_path: Path, store: Path) -> None:
    fasta = tmp_path / "mixed.fasta"
    fasta.write_bytes(b">P1\nMKT\n>P2\nMJT\n>P3\n>P1\nMKV\n>\nMKT\n>P4\nMKTA*\n")
    assert extract(fasta, "--on-bad-record=skip", "--json").document["rows"] == 7
    skipped = actstore("inspect", store, "--json").document["skipped"]
    assert skipped == {"duplicate id": 1, "empty": 1, "foreign letters": 1, "no id": 1}


@pytest.mark.parametrize(
    ("options", "code", "wanted"),
    [
        (["--encoding=int7"], 2, "store.encoding: Input should be"),
        (["--fraction=0"], 2, "rows.fraction: Input should be greater than 0"),
        (["--set=store.taskrows=1"], 2, "store.taskrows: Extra inputs"),
        (["--site=resid_post.9"], 2, "no site 'resid_post.9'"),
        (["--dtype=float64"], 2, "model.dtype: Input should be"),
        (["--device=tpu"], 2, "device"),
        (["--model=/no/such/model"], 1, "/no/such/model"),
        (["--clusters=/no/clusters.tsv"], 1, "/no/clusters.tsv: there is no such file"),
        (["--set=corpus.min_residues=10000"], 1, "no sequence is left of 8 records"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_request_is_refused_before_anything_is_written(
    options: list[str], code: int, wanted: str, extract: Extract, good: Path, store: Path
) -> None:
    done = extract(good, *options)
    assert (done.code, done.out) == (code, "")
    assert wanted in done.err
    assert "Traceback" not in done.err
    assert not store.exists()


def test_a_cluster_table_without_a_sequence_names_it(extract: Extract, good: Path, tmp_path: Path, store: Path) -> None:
    clusters = tmp_path / "clusters.tsv"
    clusters.write_text("P0\tP0\nP0\tP1\n")
    done = extract(good, f"--clusters={clusters}")
    assert done.code == 1
    assert "6 of 8 sequences are in no cluster, such as 'P2'" in done.err
    assert not store.exists()


def test_a_file_in_the_place_of_a_store_is_an_error(good: Path, esm2_tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = actstore(
        "extract", f"--model={esm2_tiny}", "--site=embed", f"--sequences={good}", f"--store={tmp_path / 'file'}"
    )
    assert (done.code, done.out) == (2, "")
    assert "file is a file, and a store is a folder" in done.err
    assert "Traceback" not in done.err


class TestExpectedSequences:
    RECIPE = '[corpus]\nexpected_sequences = 8\nexpected_lengths = 45\n[model]\nname = "{}"\n'

    def test_cannot_be_extracted_and_leave_nothing_behind(self, store: Path, esm2_tiny: Path, tmp_path: Path) -> None:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(self.RECIPE.format(esm2_tiny))
        done = actstore("extract", recipe, f"--store={store}")
        assert done.code == 2
        assert "there is nothing to extract; name the files: --sequences FILE" in " ".join(done.err.split())
        assert not store.exists()

    def test_make_way_for_files(self, store: Path, esm2_tiny: Path, tmp_path: Path, good: Path) -> None:
        recipe = tmp_path / "recipe.toml"
        recipe.write_text(self.RECIPE.format(esm2_tiny))
        done = actstore("extract", recipe, f"--store={store}", f"--sequences={good}", "--site=embed", "--json")
        assert done.document["rows"] == 360
        assert "expected" not in (store / "recipe.json").read_text()
