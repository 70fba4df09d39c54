"""Every protein is found, with its rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from actstore.store.browse.store import Store
from tests.actstore.store.browse.plain import plain

StoreOf = Callable[..., Path]


def test_every_protein_is_what_its_rows_say(folder: Path, store: Store) -> None:
    wanted = plain(folder)
    for number, name in enumerate(wanted.ids):
        rows = np.flatnonzero(wanted.sequence_N == number)
        rows = rows[np.argsort(wanted.position_N[rows])]
        protein = store.rows(sequence=name)
        np.testing.assert_array_equal(protein.row_N, rows)
        np.testing.assert_array_equal(protein.position_N, wanted.position_N[rows])
        for slot, site in enumerate(store.sites):
            np.testing.assert_array_equal(protein.values_NSD[:, slot], wanted.values[site][rows])
        assert (protein.id, protein.protein, set(protein.ids)) == (name, wanted.residues[number], {name})
        assert protein.residues == "".join(wanted.residues[number][position] for position in wanted.position_N[rows])
        assert protein.kept_L.tolist() == np.isin(np.arange(len(protein.protein)), protein.position_N).tolist()
    assert store.rows(sequence=len(wanted.ids) - 1).id == wanted.ids[-1]
