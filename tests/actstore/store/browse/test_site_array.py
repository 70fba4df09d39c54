"""A site is indexed as an array, without holes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.store.browse.store import open_store

StoreOf = Callable[..., Path]


@pytest.mark.parametrize(
    "key",
    [
        3, -1, slice(10, 500, 7), slice(None, None, -1000), [5, 2, 5], np.array([-3, 0]), (slice(4, 9), 2),
        (7, slice(3)), ([1, 2], [0, 15]), np.int64(4), [], (slice(0, 0), slice(None)), (slice(2, 5), [True, False] * 8),
    ],
    ids=str,
)  # fmt: skip
def test_a_site_is_indexed_as_an_array(store_of: StoreOf, key: Any) -> None:
    with open_store(store_of()) as store:
        site = store.site("embed")
        whole = np.asarray(site)
        wanted = whole[key] if not isinstance(key, tuple) else whole[key[0]][..., key[1]]
        np.testing.assert_array_equal(site[key], wanted)
        assert site[key].shape == wanted.shape


def test_a_mask_chooses_rows(store_of: StoreOf) -> None:
    with open_store(store_of()) as store:
        site = store.site("embed")
        mask = np.arange(len(site)) % 1000 == 5
        np.testing.assert_array_equal(site[mask], site[:][mask])


@pytest.mark.parametrize("key", [10**9, -(10**9), 1.5, "a", [1.5], (1, 2, 3), None, [[1]], [True]], ids=str)
def test_other_indices_are_errors_of_an_index(store_of: StoreOf, key: Any) -> None:
    with open_store(store_of()) as store, pytest.raises(IndexError):
        store.site("embed")[key]


def test_a_site_is_a_dask_array_with_a_chunk_for_each_object(store_of: StoreOf) -> None:
    with open_store(store_of()) as store:
        site = store.site("embed")
        array = site.dask()
        frozen = store.manifest.frozen
        assert array.chunks == (tuple(frozen.rows_of(task) for task in range(frozen.tasks)), (16,))
        np.testing.assert_allclose(array.mean(axis=0).compute(), site[:].mean(axis=0), rtol=1e-4, atol=1e-4)
        assert array.name != open_store(store_of(seed=1)).site("embed").dask().name
