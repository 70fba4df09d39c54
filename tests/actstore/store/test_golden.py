"""The golden store freezes the format: today's code opens it, decodes the same floats, and writes the same bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.store.format.canonical import sha256_hex
from actstore.store.read.open import open_manifest
from actstore.store.write.commit import load_commit
from actstore.store.write.frozen_recipe import load_frozen
from actstore.stream.open import open_stream
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.plan import plan_extraction
from tests.data.make_golden import MODEL, RECIPE

DATA = Path(__file__).resolve().parents[2] / "data"
GOLDEN = DATA / "golden-store"


@pytest.fixture
def golden() -> LocalObjects:
    return LocalObjects(GOLDEN)


def recipe() -> Recipe:
    """The recipe of the golden store, wherever tests are run from."""
    corpus = RECIPE.corpus.model_copy(update={"sequences": (str(DATA / "golden.fasta"),)})
    return RECIPE.model_copy(update={"corpus": corpus})


def test_it_is_what_it_was(golden: LocalObjects) -> None:
    """Not even by accident may the golden store be made again."""
    assert sha256_hex(golden.get("manifest.json")) == (
        "f74db2a3f2474d096622260cb3c8e79ee07eb5588d9033b41d34094ee54072e5"
    )
    assert sha256_hex((DATA / "golden-rows.npy").read_bytes()) == (
        "a75bee7e8ba5dbf23351442540b4d736e54ffd1ef0f67ced7ae5da3a12a038e4"
    )


def test_every_byte_of_it_is_named_by_its_manifest(golden: LocalObjects) -> None:
    manifest = open_manifest(GOLDEN)
    named = dict(manifest.metadata)
    for task, digest in enumerate(manifest.commits):
        assert digest is not None
        named |= {f"commits/{task}.json": digest}
        named |= {path: one.sha256 for path, one in load_commit(golden, task, sha256=digest).objects.items()}
    assert {path: sha256_hex(golden.get(path)) for path in golden.sizes() if path != "manifest.json"} == named


def test_its_recipe_keeps_its_digest(golden: LocalObjects) -> None:
    """Fields that recipes have learnt since are not written where they are absent."""
    assert load_frozen(golden).digest == "b7db5f1849f42f5fd4831c3ae1617c1eaa33db784f4b26e618021dc9b24a71ae"
    assert load_frozen(golden).to_json() == golden.get("recipe.json")


def test_it_decodes_to_the_same_floats() -> None:
    rows_NSD = np.load(DATA / "golden-rows.npy", allow_pickle=False)
    seen: list[int] = []
    with open_stream(GOLDEN, split=None, batch_rows=50, kernels="numpy") as stream:
        for batch in stream:
            assert batch.values_BSD.tobytes() == rows_NSD[batch.row_B].tobytes()
            seen += batch.row_B.tolist()
    assert sorted(seen) == np.flatnonzero(np.asarray(zarr.open_group(GOLDEN, mode="r")["rows/sequence"]) >= 0).tolist()
    assert len(seen) == 332


def test_its_rows_are_the_models(golden: LocalObjects) -> None:
    """Row by row: residues of the FASTA file through the model, within half an int8 step."""
    root = zarr.open_group(GOLDEN, mode="r")
    rows_NSD = np.load(DATA / "golden-rows.npy", allow_pickle=False)
    table = pq.read_table(GOLDEN / "sequences.parquet").to_pydict()
    sequence_N, position_N, token_N = (np.asarray(root[f"rows/{name}"]) for name in ("sequence", "position", "token"))
    scale_NS = np.asarray(root["scales/row"]).astype(np.float32)
    for row in np.flatnonzero(sequence_N >= 0).tolist():
        residues, position = table["residues"][sequence_N[row]], int(position_N[row])
        assert token_N[row] == MODEL.tokenizer.tokens(residues)[position]
        if len(residues) > 32:
            continue
        wanted = MODEL.activations([residues], [np.array([position], np.int32)])
        for index, site in enumerate(MODEL.sites):
            step_D = np.asarray(root[f"sites/{site.name}/channel"]) * scale_NS[row, index]
            assert (np.abs(rows_NSD[row, index] - wanted[site.name][0]) <= step_D * 0.501).all()


def test_preparing_it_again_gives_the_same_recipe(golden: LocalObjects, tmp_path: Path) -> None:
    """But for the versions of libraries, and the bytes of Parquet and of sums, which follow them."""
    objects = LocalObjects(tmp_path / "store")
    plan_extraction(objects, recipe(), MODEL, storage_options=None, progress=Silent())

    def comparable(store: LocalObjects) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(load_frozen(store).to_json())
        for name in ("software", "sequences_sha256", "calibration"):
            del document[name]
        del document["recipe"]["corpus"]["sequences"]
        return document

    assert comparable(objects) == comparable(golden)
    again, before = (pq.read_table(Path(store.uri) / "sequences.parquet") for store in (objects, golden))
    assert again.equals(before)
    for site, facts in (load_frozen(golden).calibration or {}).items():
        calibration = load_frozen(objects).site_calibration(site)
        assert calibration is not None
        np.testing.assert_allclose(calibration.center_D, facts.center, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(calibration.channel_D, facts.channel, rtol=1e-5)


def test_writing_it_again_gives_the_same_bytes(golden: LocalObjects, tmp_path: Path) -> None:
    """All but the statistics, sums that are good to 1e-6, and what names their digests."""
    objects = LocalObjects(tmp_path / "store")
    for path in ("recipe.json", "sequences.parquet"):
        objects.put(path, golden.get(path))
    extract_with(MODEL, objects, None)
    sizes = golden.sizes()
    assert objects.sizes().keys() == sizes.keys()
    for path in sizes:
        if path.endswith("zarr.json") or not path.startswith(("statistics/", "commits/", "manifest")):
            assert objects.get(path) == golden.get(path), path
        elif path.startswith("statistics/") and not path.startswith(("statistics/count/", "statistics/saturated/")):
            dtype = "<f4" if path.startswith("statistics/max_abs/") else "<f8"
            before, again = (np.frombuffer(store.get(path), dtype) for store in (golden, objects))
            np.testing.assert_allclose(again, before, rtol=1e-6, atol=1e-12, err_msg=path)
    for task in range(load_frozen(golden).tasks):
        before_commit, again_commit = (
            load_commit(store, task).model_dump(exclude={"objects": {name for name in sizes if "statistics" in name}})
            for store in (golden, objects)
        )
        assert again_commit == before_commit
