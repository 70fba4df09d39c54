from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.browse.all_proteins import AllProteins, proteins_of, sequence_table
from actstore.store.browse.proteins import Proteins
from actstore.store.read.open import locate_store
from actstore.store.write.members import MemberFacts, number_tasks

StoreOf = Callable[..., Path]


@pytest.fixture
def one(store_of: StoreOf) -> Proteins:
    manifest, objects = locate_store(store_of())
    return Proteins(objects, manifest.frozen, progress=Silent())


@pytest.fixture
def twice(store_of: StoreOf, one: Proteins) -> AllProteins:
    """The same store twice, which no merge would be, but whose answers are easily told."""
    manifest, objects = locate_store(store_of())
    frozen = manifest.frozen
    facts = MemberFacts(recipe_sha256=frozen.digest, sequences=frozen.corpus.sequences, splits=frozen.splits)
    other = Proteins(objects, frozen, progress=Silent())
    table = number_tasks([facts, facts], frozen.layout.task_rows)
    return AllProteins([one, other], table, task_rows=frozen.layout.task_rows)


def test_a_store_alone_is_asked_itself(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    assert isinstance(proteins_of(objects, manifest, progress=Silent()), Proteins)
    assert sequence_table(objects).num_rows == manifest.frozen.corpus.sequences


def test_numbers_go_on_in_the_next_store(one: Proteins, twice: AllProteins, store_of: StoreOf) -> None:
    count = locate_store(store_of())[0].frozen.corpus.sequences
    number, name, protein = one.find(3)
    assert twice.find(3) == (number, name, protein)
    assert twice.find(count + 3) == (count + 3, name, protein)
    assert twice.find(name)[0] == 3
    for wrong in (-1, 2 * count):
        with pytest.raises(UsageError, match=f"no sequence {wrong}; there are {2 * count}"):
            twice.find(wrong)


def test_rows_have_common_numbers(one: Proteins, twice: AllProteins, store_of: StoreOf) -> None:
    frozen = locate_store(store_of())[0].frozen
    table = number_tasks(
        [MemberFacts(recipe_sha256=frozen.digest, sequences=frozen.corpus.sequences, splits=frozen.splits)] * 2,
        frozen.layout.task_rows,
    )
    wanted, found = one.rows(3), twice.rows(frozen.corpus.sequences + 3)
    np.testing.assert_array_equal(found.position_N, wanted.position_N)
    task_N, place_N = np.divmod(found.row_N, frozen.layout.task_rows)
    assert set(table.member_T[task_N].tolist()) == {1}
    np.testing.assert_array_equal(table.local_T[task_N] * frozen.layout.task_rows + place_N, wanted.row_N)


def test_answers_keep_the_order_of_the_question(one: Proteins, twice: AllProteins, store_of: StoreOf) -> None:
    count = locate_store(store_of())[0].frozen.corpus.sequences
    local_N = np.array([5, 0, 7, 5])
    position_N = np.array([0, 1, 2, 3], dtype=np.int32)
    mixed_N = local_N + np.array([count, 0, count, 0])
    assert twice.ids(mixed_N) == one.ids(local_N)
    assert twice.letters(mixed_N, position_N) == one.letters(local_N, position_N)


def test_a_number_that_no_store_has_is_damage(twice: AllProteins, store_of: StoreOf) -> None:
    count = locate_store(store_of())[0].frozen.corpus.sequences
    for wrong in (-1, 2 * count):
        with pytest.raises(CorruptObjectError, match="a row says"):
            twice.ids(np.array([wrong]))
