from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.store.write.imported import ImportFacts
from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.store_page import store_page
from tests.actstore.view.pages.stores import cells, facts_of

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def facts(store_of: StoreOf) -> StoreFacts:
    return facts_of(store_of())


def test_residues_and_lengths_are_those_of_the_proteins(facts: StoreFacts) -> None:
    rows, found = cells(store_page(facts)), facts.proteins
    total = sum(found.residues.values())
    assert total == facts.report.residues
    for letter, number in found.residues.items():
        assert [letter, f"{number:,}", f"{number / total:.2%}"] in rows
    for name, length in zip(("shortest", "5 %", "median", "95 %", "longest"), found.length_quantiles, strict=True):
        assert [name, f"{length:,}"] in rows
    assert "Of all proteins." in store_page(facts)


def test_a_sample_of_the_proteins_is_said_to_be_one(facts: StoreFacts) -> None:
    more = facts.report._replace(sequences=1_000_000)
    assert "a sample of 60 of 1,000,000 proteins" in store_page(facts._replace(report=more))


def test_mixing_is_shown_beside_a_uniform_shuffle(facts: StoreFacts) -> None:
    assert facts.mixing is not None
    found = facts.mixing.report
    page = store_page(facts)
    expected = [f"{found.distinct_sequences:,.1f}", f"{found.distinct_sequences_uniform:,.1f}"]
    assert ["distinct proteins in a batch", *expected] in cells(page)
    assert f"Means over {found.batches} batches of {facts.mixing.batch_rows:,} rows of the split train" in page


def test_what_was_not_measured_says_why(facts: StoreFacts) -> None:
    assert "too few rows for two batches" in store_page(facts._replace(mixing=None))


def test_lengths_of_blocks_are_no_lengths_of_proteins(blocks_store: Path) -> None:
    page = store_page(facts_of(blocks_store))
    assert "do not say of which proteins their rows are; they were taken in 8 blocks." in page
    assert not [row for row in cells(page) if row[0] in {"shortest", "longest", "X"}]
    assert "distinct blocks in a batch" in page


def test_unknown_residues_have_no_shares(facts: StoreFacts) -> None:
    imported = ImportFacts(format="npy", digest="0" * 64, known=("positions",))
    frozen = facts.manifest.frozen.model_copy(update={"imported": imported})
    page = store_page(facts._replace(manifest=facts.manifest.model_copy(update={"frozen": frozen})))
    assert "The files do not say of which residues their rows are." in page
    assert [row for row in cells(page) if row[0] == "longest"]


def test_proteins_of_the_whole_store_are_said_to_be_that(part_store: Path) -> None:
    page = store_page(facts_of(part_store))
    assert "Of all proteins of the whole store." in page
    assert "; 2,048 of them have rows here" in page
    assert "This is a part of a store, so this was not measured." in page
