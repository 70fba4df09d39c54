from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.store.browse import row_sample
from actstore.store.browse.row_sample import read_sample, sampled_rows, spectrum
from actstore.store.browse.store import open_store
from actstore.store.read.open import locate_store

StoreOf = Callable[..., Path]


@given(rows=st.integers(2, 40), width=st.integers(1, 40), seed=st.integers(0, 100))
def test_the_spectrum_is_that_of_the_covariance(rows: int, width: int, seed: int) -> None:
    values_ND = np.random.default_rng(seed).normal(5, 2, (rows, width)).astype(np.float32)
    found_K = spectrum(values_ND)
    expected_D = np.linalg.eigvalsh(np.atleast_2d(np.cov(values_ND.astype(np.float64).T, bias=True)))[::-1]
    assert len(found_K) == min(rows, width)
    np.testing.assert_allclose(found_K, expected_D[: len(found_K)], atol=1e-8)


def test_rows_are_drawn_from_all_tasks_that_are_there(own_store: StoreOf) -> None:
    store = own_store()
    (store / "manifest.json").unlink()
    (store / "commits" / "0.json").unlink()
    manifest, _ = locate_store(store)
    with open_store(store) as opened:
        there = set(opened.row_numbers().tolist())
    row_N = sampled_rows(manifest, most=1_000_000)
    assert len(row_N) == len(set(row_N.tolist())) == len(there)  # chunks here are no longer than a run
    assert set(row_N.tolist()) == there
    few_N = sampled_rows(manifest, most=640)
    assert 0 < len(few_N) <= 640
    assert set(few_N.tolist()) <= there
    assert len(set((few_N // 1024).tolist())) > 1
    np.testing.assert_array_equal(few_N, sampled_rows(manifest, most=640))


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_norms_and_variances_are_those_of_the_rows(encoding: str, store_of: StoreOf) -> None:
    store = store_of(**{"store.encoding": encoding})
    manifest, objects = locate_store(store)
    sample = read_sample(objects, manifest, progress=Silent())
    assert sample is not None
    row_N = sampled_rows(manifest, most=row_sample.MOST_ROWS)
    assert sample.rows == len(row_N)
    with open_store(store) as opened:
        for name, site in sample.sites.items():
            values_ND = opened.read(row_N, name).values_ND.astype(np.float64)
            norm_N = np.linalg.norm(values_ND, axis=1)
            assert site.norm_quantiles == pytest.approx(np.quantile(norm_N, [0.05, 0.5, 0.95]), rel=1e-6)
            assert sum(site.norm_counts) == len(row_N)
            assert site.variance_K.sum() == pytest.approx(values_ND.var(axis=0).sum(), rel=1e-6)
            peak = int(np.argmax(site.norm_counts))
            inside = (norm_N >= sample.norm_edges[peak]) & (norm_N < sample.norm_edges[peak + 1])
            assert abs(int(inside.sum()) - site.norm_counts[peak]) <= 1


def test_only_the_objects_of_chosen_tasks_are_opened(own_store: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_sample, "MOST_ROWS", 64)
    manifest, objects = locate_store(own_store())
    task = int(sampled_rows(manifest, most=64)[0]) // 1024
    assert isinstance(objects, LocalObjects)
    for other in range(manifest.frozen.tasks):
        if other != task:
            for shard in Path(objects.uri).glob(f"sites/*/values/c/{other}/0"):
                shard.unlink()
    assert read_sample(objects, manifest, progress=Silent()) is not None


def test_of_many_sites_some_are_looked_at(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_sample, "MOST_SITES", 2)
    manifest, objects = locate_store(store_of())
    sample = read_sample(objects, manifest, progress=Silent())
    assert sample is not None
    assert list(sample.sites) == ["embed", "final_norm"]


def test_a_store_without_rows_has_no_sample(own_store: StoreOf) -> None:
    store = own_store()
    (store / "manifest.json").unlink()
    for commit in store.glob("commits/*"):
        commit.unlink()
    manifest, objects = locate_store(store)
    assert read_sample(objects, manifest, progress=Silent()) is None
