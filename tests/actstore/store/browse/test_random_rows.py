"""Rows come in any order, from anywhere; damage is an error and never a row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.browse.store import Store, open_store
from tests.actstore.store.browse.plain import plain
from tests.actstore.workflows.stores import contents

StoreOf = Callable[..., Path]


def test_rows_come_in_any_order_and_more_than_once(folder: Path, store: Store) -> None:
    wanted = plain(folder)
    row_N = np.random.default_rng(0).choice(wanted.row_N, 500)
    found = store[row_N]
    assert found.row_N.tolist() == row_N.tolist()
    for slot, site in enumerate(store.sites):
        np.testing.assert_array_equal(found.values_NSD[:, slot], wanted.values[site][row_N])
    assert found.ids == [wanted.ids[sequence] for sequence in wanted.sequence_N[row_N]]
    places = zip(found.sequence_N.tolist(), found.position_N.tolist(), strict=True)
    assert found.residues == "".join(wanted.residues[sequence][position] for sequence, position in places)
    assert len(store[7]) == 1
    assert len(store[[]]) == 0
    assert store[5:9].row_N.tolist() == [5, 6, 7, 8]


def test_damage_is_an_error_and_never_a_row(own_store: StoreOf) -> None:
    folder = own_store()
    path = folder / "sites" / "embed" / "values" / "c" / "0" / "0"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    (folder / "sites" / "embed" / "values" / "c" / "2" / "0").unlink()
    before = contents(folder)
    with open_store(folder) as store:
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/0/0 \(task 0\): chunk 0"):
            store.read(0, "embed")
        with pytest.raises(MissingObjectError, match=r"sites/embed/values/c/2/0 \(task 2\) is missing"):
            store.read(2048, "embed")
        assert len(store.read([0, 2048], "final_norm")) == 2
    assert contents(folder) == before


def test_a_remote_store_is_read_by_chunks(store_of: StoreOf) -> None:
    import fsspec  # noqa: PLC0415 - a file system of this test alone

    folder = store_of()
    memory = fsspec.filesystem("memory")
    memory.put(str(folder) + "/", "/remote/store/", recursive=True)
    with open_store("memory://remote/store") as remote, open_store(folder) as local:
        rows = np.random.default_rng(1).choice(local.row_numbers(), 300)
        np.testing.assert_array_equal(remote[rows].values_NSD, local[rows].values_NSD)
        assert remote[rows].residues == local[rows].residues
    memory.rm("/remote", recursive=True)
