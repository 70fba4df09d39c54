from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError
from actstore.store.browse import protein_sample
from actstore.store.browse.protein_sample import read_proteins
from actstore.store.read.open import locate_store
from actstore.store.write.sequences import StoredSequences

StoreOf = Callable[..., Path]


def test_lengths_and_residues_are_counted(store_of: StoreOf) -> None:
    store = store_of()
    table = pq.read_table(store / "sequences.parquet").to_pydict()
    found = read_proteins(locate_store(store)[1], progress=Silent())
    assert found.proteins == len(table["id"]) == sum(found.length_counts)
    assert found.example == table["id"][0]
    assert found.residues == Counter("".join(table["residues"]))
    assert list(found.residues.values()) == sorted(found.residues.values(), reverse=True)
    assert found.mean_length == pytest.approx(np.mean(table["length"]))
    shortest, *between, longest = found.length_quantiles
    assert (shortest, longest) == (min(table["length"]), max(table["length"]))
    assert set(between) <= set(table["length"])
    assert found.length_edges[0] < shortest
    assert longest < found.length_edges[-1]


def test_of_many_groups_some_are_read_at_even_distances(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protein_sample, "MOST_GROUPS", 3)
    _, objects = locate_store(store_of())
    read: list[int] = []
    group = StoredSequences.group

    def counted(self: StoredSequences, number: int) -> object:
        read.append(number)
        return group(self, 0)

    monkeypatch.setattr(StoredSequences, "__len__", lambda _: 10 * 1024)
    monkeypatch.setattr(StoredSequences, "group", counted)
    assert read_proteins(objects, progress=Silent()).proteins == 3 * 60
    assert read[:3] == [0, 4, 9]


def test_a_damaged_file_is_an_error(own_store: StoreOf) -> None:
    store = own_store()
    _, objects = locate_store(store)
    (store / "sequences.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptObjectError, match=r"sequences\.parquet cannot be read"):
        read_proteins(objects, progress=Silent())
