"""Statistics merged from tasks are those of all rows at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.contracts.planes import Planes
from actstore.contracts.windows import RowWindow
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.quantize.int8 import Int8
from actstore.store.format.layout import values_path
from actstore.store.read.open import locate_store
from actstore.store.read.reader import ArrayReader
from actstore.store.write.frozen_recipe import FrozenRecipe, load_frozen
from actstore.store.write.statistics import SiteStatistics, merge_statistics

StoreOf = Callable[..., Path]
Rows = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module")
def objects(store_of: StoreOf) -> LocalObjects:
    return LocalObjects(store_of())


@pytest.fixture(scope="module")
def frozen(objects: LocalObjects) -> FrozenRecipe:
    return load_frozen(objects)


@pytest.fixture(scope="module")
def merged(objects: LocalObjects, frozen: FrozenRecipe) -> dict[str, SiteStatistics]:
    return merge_statistics(objects, frozen, range(frozen.tasks))


@pytest.mark.parametrize("site", ["embed", "resid_post.0", "resid_post.1", "final_norm"])
def test_they_are_those_of_all_rows(merged: dict[str, SiteStatistics], all_rows: Rows, site: str) -> None:
    x_ND = all_rows[site].astype(np.float64)
    norm_N = np.linalg.norm(x_ND, axis=1)
    found = merged[site]
    assert found.count == len(x_ND)
    assert found.mean_norm == pytest.approx(norm_N.mean(), rel=1e-9)
    assert found.mean_square_norm == pytest.approx((norm_N**2).mean(), rel=1e-6)
    assert found.max_abs == pytest.approx(np.abs(x_ND).max())
    assert found.saturated == 0
    np.testing.assert_allclose(found.mean_D, x_ND.mean(axis=0), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.variance_D, x_ND.var(axis=0), rtol=1e-6)


def test_noise_is_that_of_the_rows_as_they_decode(
    store_of: StoreOf, merged: dict[str, SiteStatistics], all_rows: Rows
) -> None:
    manifest, objects = locate_store(store_of())
    reader = ArrayReader(objects, manifest)
    parts = []
    for task in range(manifest.frozen.tasks):
        window = RowWindow(task, 0, manifest.frozen.rows_of(task))
        planes = Planes(reader.rows(values_path("embed"), window), reader.rows("scales/row", window)[:, :1])
        parts.append(Int8().decode(planes, manifest.frozen.site_calibration("embed")))
    x_ND = all_rows["embed"].astype(np.float64)
    noise_D = ((np.concatenate(parts) - x_ND) ** 2).sum(axis=0)
    db_D = 10 * np.log10(((x_ND - x_ND.mean(axis=0)) ** 2).sum(axis=0) / noise_D)
    assert merged["embed"].sqnr_median_db == pytest.approx(np.median(db_D), abs=1e-3)
    assert merged["embed"].sqnr_worst_db == pytest.approx(db_D.min(), abs=1e-3)
    assert merged["embed"].sqnr_worst_channel == db_D.argmin()


def test_the_outlier_channel_is_found(merged: dict[str, SiteStatistics], all_rows: Rows) -> None:
    for site, found in merged.items():
        rms_D = np.sqrt((all_rows[site].astype(np.float64) ** 2).mean(axis=0))
        (outlier,) = found.outlier_channels
        assert outlier.channel == rms_D.argmax()
        assert outlier.ratio == pytest.approx(rms_D.max() / np.median(rms_D))
        assert outlier.ratio > 20


def test_the_order_of_tasks_does_not_matter_to_the_bit(
    objects: LocalObjects, frozen: FrozenRecipe, merged: dict[str, SiteStatistics]
) -> None:
    assert merge_statistics(objects, frozen, reversed(range(frozen.tasks))) == merged


def test_no_tasks_give_statistics_of_nothing(objects: LocalObjects, frozen: FrozenRecipe) -> None:
    empty = merge_statistics(objects, frozen, [])["embed"]
    assert empty.count == 0
    assert empty.mean_norm == empty.max_abs == 0
    assert empty.sqnr_median_db is None
    assert empty.outlier_channels == ()
    assert not empty.mean_D.any()


def test_some_tasks_give_statistics_of_their_rows(objects: LocalObjects, frozen: FrozenRecipe, all_rows: Rows) -> None:
    first = frozen.rows_of(0)
    found = merge_statistics(objects, frozen, [0])["final_norm"]
    assert found.count == first
    np.testing.assert_allclose(found.mean_D, all_rows["final_norm"][:first].mean(axis=0, dtype=np.float64), rtol=1e-9)


@pytest.mark.parametrize("name", ["count/c/1/0", "mean/c/1/0/0", "noise/c/1/0/0"])
def test_damaged_statistics_are_found(own_store: StoreOf, name: str) -> None:
    folder = own_store()
    path = folder / "statistics" / name
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)
    damaged = LocalObjects(folder)
    with pytest.raises(CorruptObjectError, match=rf"statistics/{name} \(task 1\)"):
        merge_statistics(damaged, load_frozen(damaged), [0, 1])


def test_lost_statistics_are_missing(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "statistics/m2/c/0/0/0").unlink()
    with pytest.raises(MissingObjectError, match="statistics/m2/c/0/0/0"):
        merge_statistics(LocalObjects(folder), load_frozen(LocalObjects(folder)), [0])
