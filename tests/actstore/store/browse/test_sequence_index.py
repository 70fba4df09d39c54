"""The index of sequences says what scanning every row would say."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.browse import sequence_index as module
from actstore.store.browse.sequence_index import SequenceIndex
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.sequences import StoredSequences

StoreOf = Callable[..., Path]

RECIPES: dict[str, dict[str, object]] = {
    "one window each": {},
    "several windows": {"corpus.window_residues": 64, "corpus.window_overlap": 16},
    "a fraction of several windows": {
        "corpus.window_residues": 32, "corpus.window_overlap": 4, "rows.fraction": 0.1, "store.task_rows": 256,
    },
    "few rows of each": {"rows.max_per_sequence": 3, "store.task_rows": 128, "seed": 5},
    "sequences without rows": {"rows.fraction": 0.003},
}  # fmt: skip


@pytest.fixture(params=list(RECIPES))
def store(request: pytest.FixtureRequest, store_of: StoreOf) -> Path:
    return store_of(**RECIPES[request.param])


@pytest.fixture(params=[1, 20], ids=["many buckets", "few buckets"])
def index(request: pytest.FixtureRequest, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SequenceIndex]:
    monkeypatch.setattr(module, "_BUCKET_SEQUENCES", request.param)
    objects = LocalObjects(store)
    with StoredSequences(objects) as sequences:
        yield SequenceIndex(sequences, load_frozen(objects), progress=Silent())


def test_the_rows_of_every_sequence_are_those_that_a_scan_finds(store: Path, index: SequenceIndex) -> None:
    sequence_N, position_N = (
        np.asarray(zarr.open_array(str(store), path=f"rows/{name}")[:]) for name in ("sequence", "position")
    )
    found = 0
    for sequence in range(60):
        rows = index.rows(sequence)
        scanned = np.flatnonzero(sequence_N == sequence)
        scanned = scanned[np.argsort(position_N[scanned])]
        np.testing.assert_array_equal(rows.row_N, scanned)
        np.testing.assert_array_equal(rows.position_N, position_N[scanned])
        found += len(scanned)
    assert found == (sequence_N >= 0).sum() > 0


def test_every_id_is_found(store: Path, index: SequenceIndex) -> None:
    with StoredSequences(LocalObjects(store)) as sequences:
        assert [index.find(sequences.sequence_id(number)) for number in range(60)] == list(range(60))
        some = sequences.sequence_id(0)
    for unknown in ("", "nobody", some.lower() + "x"):
        with pytest.raises(UsageError, match=f"no sequence '{unknown}' in this store; ids are .* such as '{some}'"):
            index.find(unknown)


def test_sequences_that_are_not_there_are_refused(index: SequenceIndex) -> None:
    for sequence in (-1, 60):
        with pytest.raises(IndexError, match=f"sequence {sequence} of 60"):
            index.rows(sequence)


def test_sequences_with_other_rows_than_the_recipe_says_are_corrupt(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    other = load_frozen(LocalObjects(store_of(**{"rows.fraction": 0.5})))
    with (
        StoredSequences(objects) as sequences,
        pytest.raises(CorruptObjectError, match=r"sequences with .* rows in split train, the recipe says"),
    ):
        SequenceIndex(sequences, other, progress=Silent())
