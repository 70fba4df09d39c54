"""A store opens like a data set: everything it gives is what plain Zarr and the decoder of the encoding say."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import actstore
from actstore.errors import SiteError, UsageError
from actstore.store.browse.store import Store, open_store
from actstore.store.read.open import open_manifest
from tests.actstore.store.browse.plain import LARGE, plain

StoreOf = Callable[..., Path]
LIST: Any = [1, 2]


def test_it_tells_what_matters(store_of: StoreOf) -> None:
    folder = store_of()
    with open_store(folder) as store:
        assert repr(store) == (
            f"<Store {folder}: fake (FakeModel), 4 sites x 16 features, 10,699 rows of 60 proteins (train 6,657, test "
            "1,555, valid 2,487), int8, 1.0 MB, complete>"
        )
        assert len(store) == store.manifest.rows == 10_699
        assert store.sites == ("embed", "resid_post.0", "resid_post.1", "final_norm")
        assert store.manifest.digest == open_manifest(folder).digest
        assert "<td style='text-align:left'>fake (FakeModel)</td>" in store._repr_html_()
        assert "<script>" not in store._repr_html_()
        assert store.sequences.column_names == ["id", "residues", "length", "split", "rows"]
        assert store.sequences.to_pandas()["rows"].sum() == len(store)


def test_a_batch_of_a_stream_is_read_again_by_its_row_numbers(store: Store) -> None:
    with actstore.open_stream(store, batch_rows=300, split="valid", kernels="numpy") as stream:
        batch = next(iter(stream))
        again = store[batch.row_B]
        np.testing.assert_array_equal(again.values_NSD, batch.values_BSD)
        assert again.ids == stream.ids(batch)


def test_holes_are_in_no_view(folder: Path, store: Store) -> None:
    wanted = plain(folder)
    np.testing.assert_array_equal(store.row_numbers(), wanted.row_N)
    assert store[:].row_N.tolist() == wanted.row_N.tolist()
    hole = int(np.flatnonzero(wanted.sequence_N < 0)[0])
    with pytest.raises(UsageError, match=f"no row {hole:,}: split train ends before it"):
        store[hole]
    site = store.site("resid_post.1")
    assert site.shape == (len(store), 16)
    np.testing.assert_array_equal(site[:], wanted.values["resid_post.1"][wanted.row_N])
    splits = [store.row_numbers(split) for split in store.manifest.splits]
    np.testing.assert_array_equal(np.concatenate(splits), wanted.row_N)
    np.testing.assert_array_equal(site.to_numpy(split="valid"), wanted.values["resid_post.1"][splits[-1]])


def test_a_store_is_an_xarray_data_set(store_of: StoreOf) -> None:
    with open_store(store_of(**LARGE)) as store:
        rows = store[:]
        found = store.xarray(["final_norm", "embed"])
        assert dict(found.sizes) == {"row": len(store), "site": 2, "feature": 16}
        assert found.site.values.tolist() == ["final_norm", "embed"]
        np.testing.assert_array_equal(found.row, rows.row_N)
        np.testing.assert_array_equal(found.activations.sel(site="embed"), rows.values_NSD[:, 0])
        np.testing.assert_array_equal(found.position, rows.position_N)
        assert found.sequence.values.tolist() == rows.ids
        assert "".join(found.residue.values) == rows.residues
        in_valid = found.activations.where(found.split == "valid", drop=True)
        np.testing.assert_array_equal(in_valid.row, store.row_numbers("valid"))
        assert found.attrs["manifest_sha256"] == store.manifest.digest


def test_the_mean_of_each_protein_is_that_of_its_rows(folder: Path, store: Store) -> None:
    wanted = plain(folder)
    means = store.mean_per_sequence("final_norm")
    assert means.rows_Q.sum() == len(store)
    for number in range(len(wanted.ids)):
        rows = np.flatnonzero(wanted.sequence_N == number)
        np.testing.assert_allclose(
            means.mean_QD[number], wanted.values["final_norm"][rows].mean(axis=0), rtol=1e-4, atol=1e-4
        )
    valid = store.mean_per_sequence("final_norm", split="valid")
    is_valid = np.array(store.sequences["split"].to_pylist()) == "valid"
    np.testing.assert_array_equal(valid.mean_QD[is_valid], means.mean_QD[is_valid])
    assert np.isnan(valid.mean_QD[~is_valid]).all()


def test_tasks_that_are_not_extracted_are_left_out(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits" / "1.json").unlink()
    (folder / "manifest.json").unlink()
    whole = plain(folder)
    lost = np.arange(1024, 2048)
    with open_store(folder) as store:
        assert "9,675 of 10,699 rows" in repr(store)
        assert "11 of 12 tasks" in repr(store)
        np.testing.assert_array_equal(store.row_numbers(), np.setdiff1d(whole.row_N, lost))
        assert len(store.site("embed")[:]) == len(store) == 9675
        for number, name in enumerate(whole.ids):
            wanted = np.setdiff1d(np.flatnonzero(whole.sequence_N == number), lost)
            assert sorted(store.rows(sequence=name).row_N.tolist()) == wanted.tolist()
        with pytest.raises(
            UsageError, match=r"no row 1,024 yet: task 1 is not extracted; continue with 'actstore extract"
        ):
            store[[0, 1024]]


def test_wrong_questions_are_answered(store_of: StoreOf) -> None:
    with open_store(store_of()) as store:
        name = store.sequences["id"][0].as_py()
        for ask, error, message in (
            (lambda: store.rows(sequence="nobody"), UsageError, "no sequence 'nobody' in this store"),
            (lambda: store.rows(LIST), UsageError, "id of one protein.*rows by their numbers are store"),
            (lambda: store.rows(sequence=60), UsageError, "no sequence 60; there are 60, counted from 0"),
            (lambda: store.rows(sequence=name, sites="embd"), SiteError, "did you mean 'embed'"),
            (
                lambda: store.rows(sequence=name, positions=10_000),
                UsageError,
                "residues, counted from 0, and none at 10,000",
            ),
            (lambda: store.rows(sequence=name, positions=[-1]), UsageError, "none at -1"),
            (lambda: store.rows(sequence=name, positions=[0.5]), UsageError, "positions are whole numbers"),  # type: ignore[list-item]
            (lambda: store.rows(sequenc=name), TypeError, "did you mean 'sequence'"),  # type: ignore[call-arg]
            (lambda: store[-1], UsageError, "no row -1; rows are numbered from 0 to"),
            (lambda: store[10**9], UsageError, "no row 1,000,000,000; rows are numbered from 0 to"),
            (lambda: store[0.5], UsageError, "rows are given by their numbers"),  # type: ignore[index]
            (lambda: store[::2], UsageError, "in steps of 1"),
            (lambda: store.site("embd"), SiteError, "did you mean 'embed'"),
            (lambda: store.row_numbers("vaild"), UsageError, "did you mean 'valid'"),
            (lambda: store.mean_per_sequence("embed", split="vaild"), UsageError, "did you mean 'valid'"),
        ):
            with pytest.raises(error, match=message):
                ask()


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_it_may_be_closed_while_threads_read(store_of: StoreOf, compressor: str) -> None:
    """A thread gets the right rows, or is told; nothing is unmapped under it."""
    place = store_of(**{"store.compressor": compressor})
    with open_store(place) as store:
        wanted = store[:].values_NSD
        names = store.sequences["id"].to_pylist()
    store = open_store(place)
    told: list[str] = []
    begun = threading.Barrier(5)

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        begun.wait()
        while not told:
            row_N = np.sort(rng.choice(len(wanted), 500))
            numbers_N = store.row_numbers()[row_N]
            try:
                np.testing.assert_array_equal(store[numbers_N].values_NSD, wanted[row_N])
                store.rows(names[int(rng.integers(len(names)))])
            except UsageError as error:
                assert "closed" in str(error)  # noqa: PT017 - either is right

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    for _ in range(50):
        store.close()
    told.append("enough")
    for thread in threads:
        thread.join()
    store.close()


def test_an_array_of_a_closed_store_says_so(store_of: StoreOf) -> None:
    store = open_store(store_of())
    site = store.site("embed")
    before = site[:3]
    store.close()
    with pytest.raises(UsageError, match="the store was closed"):
        site[:3]
    np.testing.assert_array_equal(store.site("embed")[:3], before)
    store.close()


def test_a_closed_store_can_be_asked_again(store_of: StoreOf) -> None:
    store = open_store(store_of())
    before = store[7].values_NSD
    store.close()
    store.close()
    np.testing.assert_array_equal(store[7].values_NSD, before)
    store.close()
