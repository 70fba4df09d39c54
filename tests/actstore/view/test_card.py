import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard

from actstore import copy_store
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


def test_blocks_of_an_import_are_not_called_proteins(blocks_store: Path) -> None:
    text = card(blocks_store)
    assert "Activations of an unknown protein language model at 1 site for 2,000 rows of unknown proteins" in text
    assert "| corpus | unknown proteins, whose rows are in 8 blocks |" in text
    assert "| rows | 2,000, each a vector for every site |" in text
    assert "| split | blocks | rows |" in text
    assert "`sequences.parquet` has the blocks." in text


def test_a_part_counts_what_is_here_and_says_what_is_of_the_whole_store(part_store: Path) -> None:
    whole = open_manifest(part_store).frozen
    text = card(part_store)
    assert f"It is a part: 2 of 4 sites and 2 of {whole.tasks} tasks of a store." in text
    assert "for 2,048 residues of some of the 60 proteins of the whole store" in text
    assert f"| corpus | 60 proteins, {whole.corpus.residues:,} residues in the whole store;" in text
    assert "| split | proteins of the whole store | rows |" in text
    assert "| rows | 2,048, each a residue" in text


def test_a_part_with_all_tasks_has_all_proteins(store_of: StoreOf, tmp_path: Path) -> None:
    copy_store(store_of(), tmp_path / "part", sites="embed")
    text = card(tmp_path / "part")
    assert "It is a part: 1 of 4 sites" in text
    assert "residues of 60 proteins" in text
    assert "| split | proteins | rows |" in text
