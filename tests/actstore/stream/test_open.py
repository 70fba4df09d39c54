"""From a store and a few wishes to a stream."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.contracts.models import Site
from actstore.errors import (
    CursorError,
    IncompleteStoreError,
    NoSplitError,
    SiteError,
    StoreNotFoundError,
    StreamError,
    UsageError,
)
from actstore.store.read.open import open_manifest
from actstore.store.read.selection import common_width
from actstore.stream import open as module
from actstore.stream import request
from actstore.stream.open import open_stream
from actstore.workflows.live.open import open_live
from tests.actstore.stream.batches import rows_of, split_rows

StoreOf = Callable[..., Path]
RemoteOf = Callable[[Path], str]
ALL = ("embed", "resid_post.0", "resid_post.1", "final_norm")


def cut(folder: Path, task: int) -> Path:
    """Make a store incomplete."""
    (folder / f"commits/{task}.json").unlink()
    (folder / "manifest.json").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, ALL),
        (["embed"], ("embed",)),
        (["final_norm", "embed"], ("final_norm", "embed")),
        (["resid_post.*"], ("resid_post.0", "resid_post.1")),
        (["resid_post.1", "*"], ("resid_post.1", "embed", "resid_post.0", "final_norm")),
        (["embed", "embed", "em*"], ("embed",)),
    ],
)
def test_sites_are_chosen_by_name_or_glob_in_the_order_asked(
    store_of: StoreOf, asked: list[str] | None, found: tuple[str, ...]
) -> None:
    with open_stream(store_of(), sites=asked, batch_rows=256) as stream:
        assert stream.sites == found
        assert next(iter(stream)).values_BSD.shape == (256, len(found), 16)


@pytest.mark.parametrize("missing", ["resid_post.9", "attention.*", "Embed", ""])
def test_a_site_that_matches_nothing_is_refused(store_of: StoreOf, missing: str) -> None:
    with pytest.raises(SiteError, match=r"no site '.*'; the store has embed, resid_post\.0, resid_post\.1, final_norm"):
        open_stream(store_of(), sites=["embed", missing])


def test_no_sites_at_all_are_refused(store_of: StoreOf) -> None:
    with pytest.raises(SiteError, match="no sites asked for"):
        open_stream(store_of(), sites=[])


def test_sites_of_one_stream_have_one_width() -> None:
    assert common_width([Site("a", "a", 8), Site("b", "b", 8)]) == 8
    with pytest.raises(SiteError, match=r"same number of features, not a 8, b 12"):
        common_width([Site("a", "a", 8), Site("b", "b", 12)])


def test_a_stream_knows_what_it_streams(store_of: StoreOf) -> None:
    with open_stream(store_of(), batch_rows=100) as stream:
        assert stream.manifest == open_manifest(store_of()).model_copy(update={"uri": None})
        assert stream.width == 16
        assert stream.batch_rows == 100
        assert stream.rows == stream.manifest.splits["train"].rows


def test_stores_manifests_files_and_urls_give_the_same_stream(
    store_of: StoreOf, remote_of: RemoteOf, tmp_path: Path
) -> None:
    manifest = open_manifest(store_of())
    shared = tmp_path / "shared.json"
    shared.write_bytes(manifest.to_json(uri=manifest.uri))
    first = []
    for source in (store_of(), str(store_of()), manifest, shared, remote_of(store_of())):
        with open_stream(source, batch_rows=256) as stream:
            first.append((stream.cursor, next(iter(stream)).values_BSD.tobytes()))
    assert len(set(first)) == 1


def test_a_manifest_that_does_not_say_where_its_store_is_is_refused(store_of: StoreOf) -> None:
    manifest = open_manifest(store_of()).model_copy(update={"uri": None})
    with pytest.raises(StreamError, match="does not say where its store is"):
        open_stream(manifest)


def test_no_store_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no activation store here"):
        open_stream(tmp_path)


def test_a_split_that_does_not_exist_is_refused(store_of: StoreOf) -> None:
    with pytest.raises(StreamError, match=r"no split 'dev'; the store has (train|test|valid), "):
        open_stream(store_of(), split="dev")


def test_an_empty_split_is_refused(store_of: StoreOf) -> None:
    folder = store_of(**{"splits.fractions": {"train": 1.0, "valid": 0.0}})
    with pytest.raises(StreamError, match="no rows in split 'valid'"):
        open_stream(folder, split="valid")


@pytest.mark.parametrize("order", ["windows", "uniform"])
def test_a_store_in_the_making_is_refused_unless_asked_for(own_store: StoreOf, order: Any) -> None:
    """Then the rows that are there come, the last task being a full one, too."""
    folder = own_store()
    rows = set(split_rows(folder, "train"))
    for task in (1, 6):
        cut(folder, task)
    with pytest.raises(IncompleteStoreError, match=r"2 of \d+ tasks are not extracted yet.*allow_incomplete"):
        open_stream(folder, order=order)
    with open_stream(folder, batch_rows=256, allow_incomplete=True, order=order) as stream:
        found = rows_of(stream)
        assert stream.rows == len(found) == len(set(found))
        assert set(found) == rows - set(range(1024, 2048)) - set(range(6 * 1024, 7 * 1024))


def test_what_is_missing_of_another_split_does_not_matter(own_store: StoreOf) -> None:
    folder = own_store()
    first_test_task = open_manifest(folder).splits["test"].first_task
    cut(folder, first_test_task)
    with open_stream(folder, batch_rows=256) as stream:
        assert sum(len(batch.row_B) for batch in stream) == stream.rows
    with pytest.raises(IncompleteStoreError):
        open_stream(folder, split=None)


def test_a_split_of_which_nothing_is_there_yet_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    part = open_manifest(folder).splits["test"]
    for task in range(part.first_task, part.first_task + part.tasks):
        (folder / f"commits/{task}.json").unlink()
    (folder / "manifest.json").unlink()
    with pytest.raises(StreamError, match=r"no rows in split 'test' \(yet\)"):
        open_stream(folder, split="test", allow_incomplete=True)


def test_a_buffer_too_small_for_two_batches_says_how_much_it_needs(store_of: StoreOf) -> None:
    """For each row its values, scales and origin, and its number and place."""
    needed = 2 * 4096 * (4 * (16 + 2) + 14 + 16)
    with pytest.raises(StreamError, match=f"cannot hold two batches of 4,096 rows .* give at least {needed:,}"):
        open_stream(store_of(), buffer_bytes=needed - 1)
    with open_stream(store_of(), buffer_bytes=needed) as stream:
        assert stream.batches_per_fill == 1


@pytest.mark.parametrize(
    ("buffer_bytes", "fill_batches"), [(2 * 102 * 256, 1), (2 * 102 * 256 * 7 + 5000, 7), (1 << 40, 27)]
)
def test_a_fill_has_the_batches_that_half_a_buffer_holds(
    store_of: StoreOf, buffer_bytes: int, fill_batches: int
) -> None:
    """And no more than the split, however large the buffer may be."""
    with open_stream(store_of(), batch_rows=256, buffer_bytes=buffer_bytes) as stream:
        assert stream.batches_per_fill == fill_batches


def test_streams_on_other_sites_have_the_same_order_with_as_many_batches_in_a_fill(store_of: StoreOf) -> None:
    store = store_of()
    with open_stream(store, batch_rows=256, buffer_bytes=2 * 102 * 256 * 3) as every:
        site, fills = every.sites[-1], every.batches_per_fill
        rows = [batch.row_B.tolist() for batch in every]
    with open_stream(store, sites=site, batch_rows=256) as one:
        buffer_bytes = fills * one.buffer_bytes_per_batch
    with open_stream(store, sites=site, batch_rows=256, buffer_bytes=buffer_bytes) as one:
        assert one.batches_per_fill == fills
        assert [batch.row_B.tolist() for batch in one] == rows
    with open_stream(store, sites=site, batch_rows=256, buffer_bytes=buffer_bytes - 1) as one:
        assert one.batches_per_fill == fills - 1


@pytest.mark.parametrize(
    ("buffer_bytes", "window_rows"), [(1 << 17, 16), (1 << 18, 32), (1 << 20, 64), (1 << 21, 128), (1 << 40, 1024)]
)
def test_windows_grow_with_the_buffer_so_that_a_fill_has_about_as_many(
    store_of: StoreOf, monkeypatch: pytest.MonkeyPatch, buffer_bytes: int, window_rows: int
) -> None:
    monkeypatch.setattr(request, "_WINDOWS_PER_FILL", 64 if buffer_bytes < 1 << 40 else 1)
    with open_stream(store_of(), split=None, batch_rows=256, buffer_bytes=buffer_bytes) as stream:
        assert stream._config.window_rows == window_rows


@pytest.mark.parametrize(("wish", "message"), [({"batch_rows": 0}, "batch_rows"), ({"seed": -1}, "seed")])
def test_senseless_numbers_are_refused(store_of: StoreOf, wish: dict[str, int], message: str) -> None:
    with pytest.raises(StreamError, match=f"{message} must"):
        open_stream(store_of(), **wish)  # type: ignore[arg-type]


def test_a_batch_may_be_larger_than_the_split(store_of: StoreOf) -> None:
    with open_stream(store_of(), split="test", batch_rows=100_000) as stream:
        (batch,) = list(stream)
        assert len(batch.row_B) == stream.rows
        assert stream.report().mixing is None


def test_rows_are_held_where_they_lie_if_that_is_possible(store_of: StoreOf, remote_of: RemoteOf) -> None:
    compressed = store_of(**{"store.compressor": "zstd"})
    for source, path in ((store_of(), "mapped"), (remote_of(store_of()), "buffered"), (compressed, "buffered")):
        with open_stream(source) as stream:
            assert stream.report().path == path


def test_rows_that_cannot_be_had_one_by_one_have_no_uniform_order(
    store_of: StoreOf, remote_of: RemoteOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = remote_of(store_of())
    with pytest.raises(StreamError, match=r"/store: order='uniform' is not possible: it is not on a local filesystem"):
        open_stream(uri, order="uniform")
    with pytest.raises(StreamError, match=r"is not possible: it is compressed \(zstd\); use order='windows'"):
        open_stream(store_of(**{"store.compressor": "zstd"}), order="uniform")
    with pytest.raises(StreamError, match="it has no buffer on a device"):
        open_stream(store_of(), order="uniform", device="cpu")
    monkeypatch.setattr(module, "mapping_obstacle", lambda *_: "there are too many files")
    with pytest.raises(StreamError, match="there are too many files"):
        open_stream(store_of(), order="uniform")
    with open_stream(store_of()) as stream:
        assert stream.report().path == "buffered"


def test_batches_are_arrays_unless_a_device_is_named(store_of: StoreOf) -> None:
    with open_stream(store_of(), batch_rows=256) as stream:
        assert isinstance(next(iter(stream)).values_BSD, np.ndarray)


def test_a_device_cannot_gather_with_numpy(store_of: StoreOf) -> None:
    with pytest.raises(StreamError, match="kernels='numpy' cannot gather on a device"):
        open_stream(store_of(), batch_rows=256, device="cpu", kernels="numpy")


@pytest.mark.parametrize("wish", [{"order": "unifrom"}, {"kernels": "numpyy"}])
def test_misspelt_choices_are_refused(store_of: StoreOf, wish: dict[str, Any]) -> None:
    with pytest.raises(StreamError, match=r"must be one of .*, not '(unifrom|numpyy)'"):
        open_stream(store_of(), **wish)


def test_the_buffer_is_of_no_effect_on_the_uniform_order(store_of: StoreOf) -> None:
    with (
        open_stream(store_of(), batch_rows=256, order="uniform", buffer_bytes=1) as small,
        open_stream(store_of(), batch_rows=256, order="uniform") as large,
    ):
        assert small.cursor == large.cursor


def test_what_is_expected_of_the_mixing_of_a_store_in_the_making_is_not_known(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits/1.json").unlink()
    (folder / "manifest.json").unlink()
    with open_stream(folder, batch_rows=256, allow_incomplete=True) as stream:
        assert len(list(stream)) == stream.batches_per_epoch
        assert stream.report().mixing is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_rows": "64"}, "batch_rows is a whole number, not '64'"),
        ({"batch_rows": 64.0}, r"batch_rows is a whole number, not 64\.0"),
        ({"seed": "a"}, "seed is a whole number, not 'a'"),
        ({"buffer_bytes": 1e9}, "buffer_bytes is a whole number"),
        ({"seat": (0, 1)}, r"seat is a Seat\(rank, world_size\), not \(0, 1\)"),
    ],
)
def test_values_of_another_kind_are_named(store_of: StoreOf, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StreamError, match=message):
        open_stream(store_of(), **options)


def test_something_else_than_a_cursor_is_named(store_of: StoreOf) -> None:
    with open_stream(store_of()) as stream, pytest.raises(CursorError, match="3 is no cursor"):
        stream.seek(3)  # type: ignore[arg-type]


def test_a_cache_in_a_store_is_refused(own_store: StoreOf) -> None:
    store = own_store()
    for cache in (store, store / "cache"):
        with pytest.raises(UsageError, match=r"cache \(--cache\) .*lies in the store"):
            open_stream(store, cache=cache, cache_bytes=1 << 20)
        with pytest.raises(UsageError, match=r"cache \(--cache\) .*lies in the store"):
            open_live(store, cache=cache, cache_bytes=1 << 20)
    assert not (store / "cache").exists()


def test_a_split_that_is_not_there_is_a_wrong_request(store_of: StoreOf) -> None:
    with pytest.raises(NoSplitError) as raised:
        open_stream(store_of(), split="vaild")
    assert raised.value.exit_code == 2
