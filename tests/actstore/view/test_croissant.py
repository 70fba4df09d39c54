import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.store.read.manifest import Manifest
from actstore.store.read.open import open_manifest
from actstore.view.croissant import croissant_metadata, describe_store
from tests.services.web import WebServer

StoreOf = Callable[..., Path]

TOLD = {"model.license": "MIT", "corpus.license": "CC-BY-4.0", "corpus.citation": "@misc{a, title={A}}"}


def metadata(store: Path, files: str) -> tuple[Manifest, dict[str, Any]]:
    manifest = open_manifest(store)
    sizes = {name: (store / name).stat().st_size for name in ("sequences.parquet", "manifest.json")}
    return manifest, croissant_metadata(manifest, name="esm2-8m", url="https://hub/d", files=files, sizes=sizes)


@pytest.mark.slow
def test_mlcroissant_finds_nothing_wrong_and_reads_the_proteins(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that it brings
        import mlcroissant  # noqa: PLC0415
        from mlcroissant._src.core import constants  # noqa: PLC0415

        monkeypatch.setattr(constants, "DOWNLOAD_PATH", type(constants.DOWNLOAD_PATH)(tmp_path / "cache"))

        with WebServer(store_of(**TOLD)) as web:
            manifest, document = metadata(store_of(**TOLD), web.url)
            (tmp_path / "croissant.json").write_text(json.dumps(document))
            dataset = mlcroissant.Dataset(jsonld=str(tmp_path / "croissant.json"))
            assert not dataset.metadata.ctx.issues.errors
            records = list(dataset.records("sequences"))
    assert len(records) == manifest.frozen.corpus.sequences
    assert {key for record in records for key in record} == {
        f"sequences/{name}" for name in ("id", "residues", "length", "split", "rows")
    }
    assert all(len(record["sequences/residues"]) == record["sequences/length"] for record in records)


def test_the_document_has_digests_licences_and_citations(store_of: StoreOf) -> None:
    manifest, document = metadata(store_of(**TOLD), "https://hub/d/resolve/main")
    assert document["license"] == ["CC-BY-4.0", "MIT"]
    assert document["citeAs"] == "@misc{a, title={A}}"
    assert manifest.digest in document["description"]
    digests = {one["contentUrl"]: one["sha256"] for one in document["distribution"]}
    assert digests["https://hub/d/resolve/main/manifest.json"] == manifest.digest
    untold = metadata(store_of(), "https://hub")[1]
    assert {"license", "citeAs"}.isdisjoint(untold)


def test_a_store_is_described_in_a_sentence(store_of: StoreOf) -> None:
    manifest = open_manifest(store_of())
    expected = f"of the protein language model fake at 4 sites for {manifest.rows:,} residues of 60 proteins"
    assert expected in describe_store(manifest)


def test_blocks_of_an_import_are_not_called_proteins(blocks_store: Path) -> None:
    [records] = metadata(blocks_store, "https://hub")[1]["recordSet"]
    assert records["description"].startswith("The blocks of rows of unknown proteins, in the order")
    described = {field["name"]: field["description"] for field in records["field"]}
    assert described["length"] == "Number of rows in the file."
    assert described["residues"] == "X for each row: the residues are unknown."
