from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.hashing import hash_text
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import UsageError
from actstore.store.browse import chosen_sequences as module
from actstore.store.browse.all_proteins import proteins_of
from actstore.store.browse.chosen_sequences import ChosenSequences, choose_sequences
from actstore.store.read.open import open_manifest
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
SPLITS = ("train", "valid", "test")


def chosen(store: Path, ids: list[str], splits: Collection[str] = SPLITS) -> ChosenSequences:
    manifest, objects = open_manifest(store), LocalObjects(store)
    proteins = proteins_of(objects, manifest, progress=Silent())
    return choose_sequences(objects, manifest, ids, splits=splits, proteins=proteins, progress=Silent())


def test_they_are_those_of_the_store_in_its_order(store_of: StoreOf) -> None:
    table = pq.read_table(store_of() / "sequences.parquet").to_pylist()
    ids = [one["id"] for one in table[::-4]]
    found = chosen(store_of(), ids)
    wanted = [one for one in table if one["id"] in ids]
    assert [found.sequence_id(number) for number in range(len(found))] == [one["id"] for one in wanted]
    assert [found.residues(number) for number in range(len(found))] == [one["residues"] for one in wanted]
    assert found.length_N.tolist() == [one["length"] for one in wanted]
    assert found.id_hash_N.tolist() == [hash_text(one["id"]) for one in wanted]
    assert [found.table.splits[code] for code in found.table.split_N] == [one["split"] for one in wanted]
    assert found.total_residues == sum(one["length"] for one in wanted)
    assert (found.skipped, found.recorded_sequences) == ({}, (str(store_of()),))


def test_all_of_them_have_the_digest_of_the_corpus_in_that_order(
    store_of: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel, tmp_path: Path
) -> None:
    table = pq.read_table(store_of() / "sequences.parquet").to_pylist()
    (tmp_path / "ordered.fasta").write_text("".join(f">{one['id']}\n{one['residues']}\n" for one in table))
    recipe = recipe_of(**{"corpus.sequences": [str(tmp_path / "ordered.fasta")]})
    extract_with(fake_model, LocalObjects(tmp_path / "store"), recipe)
    digest = chosen(store_of(), [one["id"] for one in table]).digest
    assert digest == open_manifest(tmp_path / "store").frozen.corpus.digest


def test_equal_hashes_are_no_equal_ids(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pq.read_table(store_of() / "sequences.parquet")
    known, other = table["id"].to_pylist()[:2]
    monkeypatch.setattr(module, "hash_text", lambda name: hash_text(other if name == "odd" else name))
    with pytest.raises(UsageError, match="lacks 1 of 2 sequences, such as 'odd'"):
        chosen(store_of(), [known, "odd"])


def test_of_some_splits(store_of: StoreOf) -> None:
    ids = pq.read_table(store_of() / "sequences.parquet")["id"].to_pylist()
    found = chosen(store_of(), ids, ["valid"])
    assert len(found) == open_manifest(store_of()).splits["valid"].sequences
    assert np.unique(found.table.split_N).tolist() == [found.table.splits.index("valid")]
