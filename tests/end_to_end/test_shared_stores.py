"""A store on a web server or on the Hub gives what the same folder gives: rows, streams, training."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import actstore
import trainers.cli
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, StoreError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from tests.actstore.cli.command import actstore as run_actstore
from tests.actstore.cli.command import run_here
from tests.end_to_end.s3_extraction import small_fasta
from tests.services.hub import Hub
from tests.services.web import WebServer

SITE = "resid_post.1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    recipe = Recipe.model_validate(
        {
            "model": {"name": "fake", "license": "MIT"},
            "corpus": {"sequences": [str(small_fasta(folder / "proteins.fasta"))]},
            "splits": {"fractions": {"train": 0.8, "valid": 0.2}},
            "store": {"task_rows": 512, "chunk_rows": 64, "calibration_sequences": 8},
        }
    )
    extract_with(FakeModel(), LocalObjects(folder / "store"), recipe)
    return folder / "store"


@pytest.fixture
def web(store: Path) -> Iterator[WebServer]:
    with WebServer(store.parent) as server:
        yield server


@pytest.fixture
def hub(store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The Hub with the folder as a repository."""
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        actstore.publish_store(store, "user/name", private=True)
        yield stand_in


@pytest.fixture(params=["web", "hub"])
def place(request: pytest.FixtureRequest) -> str:
    """The store, somewhere else."""
    if request.param == "hub":
        request.getfixturevalue("hub")
        return "hf://datasets/user/name"
    return f"{request.getfixturevalue('web').url}/store"


def test_rows_streams_and_training_are_the_same(place: str, store: Path, tmp_path: Path) -> None:
    here, there = actstore.open_store(store), actstore.open_store(place, storage_options={"attempts": 1})
    assert there.manifest.digest == here.manifest.digest
    protein = here.sequences["id"][3].as_py()
    np.testing.assert_array_equal(there.rows(sequence=protein).values_NSD, here.rows(sequence=protein).values_NSD)
    with (
        actstore.open_stream(place, sites=SITE, batch_rows=200) as far,
        actstore.open_stream(store, sites=SITE, batch_rows=200) as near,
    ):
        for one, other in zip(far, near, strict=True):
            np.testing.assert_array_equal(one.row_B, other.row_B)
            np.testing.assert_array_equal(np.asarray(one.values_BSD), np.asarray(other.values_BSD))
    options = ("--dictionary=topk-sae", f"--site={SITE}", "--steps=3", "--latents=32", "--k=4", "--device=cpu")
    explained = []
    for source, out in ((place, "far"), (store, "near")):
        done = run_here(
            "trainer", trainers.cli.main, "read-from-store", source, *options, f"--out={tmp_path / out}", "--json"
        )
        assert done.code == 0, done.err
        explained.append(done.document["explained_variance"])
    assert explained[0] == explained[1] is not None


def test_it_is_inspected_from_the_command_line(place: str, store: Path) -> None:
    done = run_actstore("inspect", place, "--json")
    assert done.code == 0, done.err
    assert done.document["manifest_sha256"] == actstore.open_manifest(store).digest
    assert done.document["licenses"] == {"model": "MIT"}
    assert run_actstore("rows", place, "--rows=0-3").code == 0


def test_a_part_of_it_is_copied(place: str, store: Path, tmp_path: Path) -> None:
    for source, out in ((place, "far"), (store, "near")):
        actstore.copy_store(source, tmp_path / out, sites=SITE, tasks=1)
    far, near = (
        {path.relative_to(tmp_path / out): path.read_bytes() for path in (tmp_path / out).rglob("*") if path.is_file()}
        for out in ("far", "near")
    )
    assert far == near


@pytest.mark.usefixtures("hub")
def test_a_part_of_it_is_described_and_merged(store: Path, tmp_path: Path) -> None:
    actstore.subset_manifest("hf://datasets/user/name", tmp_path / "part.json", sites=SITE, splits="valid")
    with actstore.open_store(tmp_path / "part.json") as part, actstore.open_store(store) as whole:
        np.testing.assert_array_equal(part[:].values_NSD, whole.read(part.row_numbers(), SITE).values_NSD)
    with pytest.raises(actstore.errors.UsageError, match="is in hf://datasets/user/name"):
        actstore.merge_manifests(["hf://datasets/user/name", store], tmp_path / "both.json")


def test_what_was_changed_on_a_web_server_is_found(store: Path, tmp_path: Path) -> None:
    own = shutil.copytree(store, tmp_path / "store")
    path = own / "sites" / SITE / "values" / "c" / "0" / "0"
    path.write_bytes(bytes(path.stat().st_size))
    with WebServer(tmp_path) as server, pytest.raises(CorruptObjectError, match=r"values/c/0/0"):
        actstore.open_store(f"{server.url}/store")[[0]]


def test_a_server_without_ranges_is_inspected_but_its_rows_are_not_read(web: WebServer) -> None:
    web.ranges = False
    assert run_actstore("inspect", f"{web.url}/store").code == 0
    with pytest.raises(StoreError, match="use a server with range requests"):
        actstore.open_store(f"{web.url}/store")[[0]]


def test_what_needs_a_list_says_that_a_web_server_has_none(web: WebServer) -> None:
    for command in (("verify", "--no-recompute"), ("gc",), ("repair", "--dry-run")):
        done = run_actstore(command[0], f"{web.url}/store", *command[1:])
        assert done.code == 1
        assert "a web server does not list what it has" in done.err
