"""The main job on natural proteins: extract, die half-way, resume, verify, look, read."""

import gzip
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from actstore import open_store, open_stream
from actstore.contracts.recipe import ModelRecipe
from actstore.corpus.windows import cut_windows
from actstore.extract.model import load_model
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import contents, plain_rows, write_fasta

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# The processes of several tests share the cores.
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
PROGRAM = "from actstore.cli import main; main()"


@pytest.fixture(scope="module")
def proteins(natural_fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth protein of all, long ones and those with X and U among them."""
    with gzip.open(natural_fasta, "rt", encoding="ascii") as file:
        records = [record.partition("\n") for record in file.read().split(">")[1:]]
    chosen = {header.split()[0]: "".join(body.split()) for header, _, body in islice(records, 0, None, 20)}
    assert len(chosen) > 150
    assert max(map(len, chosen.values())) > 1022
    return write_fasta(tmp_path_factory.mktemp("natural") / "proteins.fasta", chosen)


def arguments(model: Path, proteins: Path, store: Path, encoding: str) -> list[str]:
    return [
        "extract", f"--model={model}", f"--sequences={proteins}", "--site=embed,resid_post.*,final_norm",
        f"--store={store}", f"--encoding={encoding}", "--fraction=0.1", "--set=store.task_rows=512",
        "--set=store.calibration_sequences=16",
    ]  # fmt: skip


def run(asked: Sequence[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *asked], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, done.stderr


def kill_after(asked: Sequence[str], store: Path, *, commits: int, wait_s: float) -> int:
    """Start the command, kill it some time after a number of commits are there, and return how many there are then."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *asked], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        while len(list(store.glob("commits/*.json"))) < commits:
            assert process.poll() is None, process.communicate()[1].decode()
            select.select([], [], [], 0.005)
        select.select([], [], [], wait_s)
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    return len(list(store.glob("commits/*.json")))


@pytest.fixture(scope="module")
def whole(esm2_tiny: Path, proteins: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same proteins as int8 and as float16, each by a process that nobody disturbed."""
    stores = {encoding: tmp_path_factory.mktemp("whole") / encoding for encoding in ("int8", "float16")}
    for encoding, store in stores.items():
        run(arguments(esm2_tiny, proteins, store, encoding))
    return stores


def test_a_store_killed_at_random_moments_is_byte_for_byte_the_uninterrupted_one(
    esm2_tiny: Path, proteins: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    store = tmp_path / "int8"
    asked = arguments(esm2_tiny, proteins, store, "int8")
    moments = random.Random(7)
    done: dict[str, bytes] = {}
    total = len(list(whole["int8"].glob("commits/*.json")))
    for commits in (0, 2, total // 2, total - 3):
        found = kill_after(asked, store, commits=commits, wait_s=moments.uniform(0.0, 0.3))
        assert commits <= found < total
        now = {path: data for path, data in contents(store).items() if path.startswith("commits/")}
        assert done.items() <= now.items()
        done = now
    run(asked)
    assert contents(store) == contents(whole["int8"])
    assert not (store / ".partial").exists()


@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_the_stores_are_sound_and_tell_what_they_hold(encoding: str, whole: dict[str, Path]) -> None:
    verified = actstore("verify", whole[encoding], "--json")
    assert verified.code == 0
    assert (verified.document["ok"], verified.document["faults"]) == (True, [])
    assert verified.document["recomputed_rows"] > 50
    inspected = actstore("inspect", whole[encoding], "--json").document
    assert (inspected["complete"], inspected["encoding"], len(inspected["sites"])) == (True, encoding, 8)
    assert inspected["ratio_to_fp16"] == pytest.approx({"int8": 2 * 128 / 130, "float16": 1.0}[encoding])
    assert inspected["rows"] == pytest.approx(0.1 * inspected["residues"], rel=0.01)
    for site in inspected["sites"].values():
        assert site["sqnr_median_db"] >= 38
        assert site["sqnr_worst_db"] >= 30


def test_both_encodings_hold_the_same_rows(whole: dict[str, Path]) -> None:
    coarse, fine = (plain_rows(whole[encoding]) for encoding in ("int8", "float16"))
    assert coarse.residue_N == fine.residue_N
    assert coarse.token_N == fine.token_N
    for site, values_ND in fine.values.items():
        centred_ND = values_ND - values_ND.mean(axis=0)
        assert np.linalg.norm(coarse.values[site] - values_ND) < 0.01 * np.linalg.norm(centred_ND), site


@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_every_protein_that_is_looked_up_is_what_the_model_says(
    esm2_tiny: Path, whole: dict[str, Path], encoding: str
) -> None:
    model = load_model(ModelRecipe(name=str(esm2_tiny)), ["resid_post.3"])
    with open_store(whole[encoding]) as store:
        mean_D = store.manifest.statistics["resid_post.3"].mean_D
        for name in store.sequences["id"].to_pylist():
            protein = store.rows(sequence=name, sites="resid_post.3")
            for window in cut_windows(len(protein.protein), window=1022, overlap=256):
                here = (protein.position_N >= window.keep_start) & (protein.position_N < window.keep_stop)
                seen = protein.protein[window.start : window.stop]
                wanted_ND = model.activations([seen], [protein.position_N[here] - window.start])["resid_post.3"]
                off = np.linalg.norm(protein.values_ND[here] - wanted_ND)
                assert off <= {"int8": 0.01, "float16": 0.001}[encoding] * np.linalg.norm(wanted_ND - mean_D), name


def test_a_stream_gives_every_row_once(whole: dict[str, Path]) -> None:
    rows = plain_rows(whole["int8"])
    with open_stream(whole["int8"], batch_rows=2048) as stream:
        drawn = np.concatenate([batch.row_B.copy() for batch in stream])
    train = sum(rows.splits[name] == "train" for name, _ in rows.residue_N)
    assert len(drawn) == len(np.unique(drawn)) == train
