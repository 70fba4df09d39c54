"""Rows know their residues, and become tables."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.errors import UsageError
from actstore.store.browse.store import Store, open_store

StoreOf = Callable[..., Path]


def test_sites_and_positions_can_be_chosen(store: Store) -> None:
    name = store.sequences["id"][3].as_py()
    whole = store.rows(sequence=name, sites=["final_norm", "resid_post.*"])
    assert whole.sites == ("final_norm", "resid_post.0", "resid_post.1")
    some = store.rows(sequence=name, sites="embed", positions=range(10, 20))
    assert some.values_ND.shape == (10, 16)
    assert some.position_N.tolist() == list(range(10, 20))
    np.testing.assert_array_equal(some.values_ND, store.rows(sequence=name).values_NSD[10:20, 0])
    assert store.rows(sequence=name, positions=slice(None, 5)).position_N.tolist() == [0, 1, 2, 3, 4]
    assert store.rows(sequence=name, positions=7).position_N.tolist() == [7]
    with pytest.raises(UsageError, match="take one of them from values_NSD"):
        whole.values_ND  # noqa: B018 - it raises


def test_a_table_has_a_column_for_each_site(store_of: StoreOf) -> None:
    with open_store(store_of()) as store:
        rows = store.read([3, 1], ["embed", "final_norm"])
        table = rows.table()
    assert table.column_names == ["row", "id", "position", "residue", "embed", "final_norm"]
    assert table["row"].to_pylist() == [3, 1]
    np.testing.assert_array_equal(np.array(table["embed"].to_pylist(), np.float32), rows.values_NSD[:, 0])
    assert repr(rows) == "<Rows: 2 rows at embed, final_norm, float32 (2, 2, 16)>"
