import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from actstore.store.read.open import open_manifest
from actstore.view.card import data_card

StoreOf = Callable[..., Path]
URI = "hf://datasets/my-lab/esm2-8m"


def card(store: Path, license_id: str | None = None) -> str:
    return data_card(open_manifest(store), name="my-lab/esm2-8m", uri=URI, license_id=license_id)


@pytest.mark.parametrize(
    ("recipe", "given", "expected"),
    [
        ({}, None, {}),
        ({"model.license": "MIT", "corpus.license": "CC-BY-4.0"}, None, {}),
        ({"model.license": "CC-BY-4.0", "corpus.license": "CC-BY-4.0"}, None, {"license": "cc-by-4.0"}),
        ({"model.license": "MIT"}, "Apache-2.0", {"license": "apache-2.0"}),
        ({}, 'ask: "us"', {"license": "other", "license_name": 'ask: "us"'}),
    ],
)
def test_the_hub_can_read_the_metadata(
    store_of: StoreOf, recipe: dict[str, str], given: str | None, expected: dict[str, str]
) -> None:
    data = vars(DatasetCard(card(store_of(**recipe), given)).data)
    assert {name: data[name] for name in ("license", "license_name") if data.get(name)} == expected
    assert data["configs"] == [{"config_name": "sequences", "data_files": "sequences.parquet"}]
    assert data["size_categories"] == ["10K<n<100K"]
    assert "protein-language-model" in data["tags"]


def test_the_card_says_what_it_is_and_how_to_load_it(store_of: StoreOf) -> None:
    manifest = open_manifest(store_of())
    text = card(store_of(**{"corpus.license": "CC-BY-4.0", "model.citation": "@article{one,\n  year = 2023\n}"}))
    assert f'actstore.open_store("{URI}")' in text
    assert f"actstore inspect {URI}" in text
    assert "| licence of the corpus | CC-BY-4.0 |" in text
    assert "The model:\n\n    @article{one,\n      year = 2023\n    }\n" in text
    assert all(f"| {site.name.replace('_', chr(92) + '_')} | " in text for site in manifest.sites)
    assert manifest.digest in card(store_of())


def test_what_a_store_says_is_text_and_no_markup(store_of: StoreOf) -> None:
    manifest = open_manifest(store_of())
    model = replace(manifest.model, name="<script>|[x](y)\x1b")
    frozen = manifest.frozen.model_copy(update={"model": model})
    evil = manifest.model_copy(update={"frozen": frozen})
    text = data_card(evil, name="a/b", uri=URI)
    assert "<script>" not in text.partition("---\n\n")[2]
    assert json.loads(text.splitlines()[1].partition(": ")[2]).startswith("Activations of")
