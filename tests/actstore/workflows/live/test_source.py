"""Streams whose rows are computed: those of a store, in the same order, kept in the store if so wished."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import StreamError
from actstore.extract.model import TransformersModel
from actstore.store.format.layout import MANIFEST
from actstore.store.read.open import locate_store
from actstore.stream.open import open_stream
from actstore.stream.request import StreamRequest
from actstore.stream.seats import Seat
from actstore.stream.stream import Stream
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from actstore.workflows.live import source as module
from actstore.workflows.live.open import live_over
from actstore.workflows.live.source import LiveMode, LiveSource
from tests.actstore.workflows.stores import contents

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]
SMALL = {"batch_rows": 200, "buffer_bytes": 1 << 16}
MANY_FILLS = {"buffer_bytes": 1 << 20}


def batches(stream: Stream, epochs: int = 1) -> list[tuple[Any, ...]]:
    """Return rows, sequences and values of every batch."""
    return [
        (*(column_B.tolist() for column_B in batch[1:]), np.array(batch.values_BSD).tobytes())
        for _ in range(epochs)
        for batch in stream
    ]


def live(store: Path, model: FakeModel | TransformersModel, mode: LiveMode, **options: Any) -> LiveSource:
    manifest, objects = locate_store(store)
    return live_over(objects, manifest, model, mode=mode, **options)


def without(store: Path, folder: Path, tasks: set[int]) -> Path:
    """Return a copy of a store in which some tasks were never begun."""
    shutil.copytree(store, folder)
    (folder / MANIFEST).unlink()
    for task in tasks:
        (folder / f"commits/{task}.json").unlink()
        for parts in ("rows/*", "scales/*", "statistics/*", "sites/*/values"):
            for path in folder.glob(f"{parts}/c/{task}"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize("changes", [{}, MANY_FILLS, MANY_FILLS | {"seat": Seat(1, 3)}, {"sites": ["embed"]}], ids=str)
@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_online_and_stored_streams_are_equal_for_two_epochs(
    tiny_store: StoreOf, tiny_model: TransformersModel, encoding: str, changes: dict[str, Any]
) -> None:
    store = tiny_store(**{"store.encoding": encoding})
    request = {"batch_rows": 200, "seed": 5} | changes
    with open_stream(store, **request) as stream:
        stored = batches(stream, 2)
        assert stream.report().path == "mapped"
    before = contents(store)
    with live(store, tiny_model, "online") as source, source.open_stream(StreamRequest(**request)) as stream:
        assert batches(stream, 2) == stored
        assert source.report().tasks_computed == locate_store(store)[0].splits["train"].tasks
        assert source.report().passes == 1
    assert contents(store) == before


def test_a_cursor_of_one_continues_in_the_other(store_of: StoreOf, fake_model: FakeModel) -> None:
    with open_stream(store_of(), **SMALL) as stream:  # type: ignore[arg-type]
        iterator = iter(stream)
        for _ in range(7):
            next(iterator)
        cursor = stream.cursor
        rest = [batch.row_B.tolist() for batch in iterator]
    with live(store_of(), fake_model, "online") as source, source.open_stream(StreamRequest(**SMALL)) as stream:  # type: ignore[arg-type]
        stream.seek(cursor)
        assert [batch.row_B.tolist() for batch in stream] == rest


@pytest.mark.parametrize("in_files", [False, True])
def test_rows_that_are_not_kept_are_computed_no_more_often_than_foretold(
    store_of: StoreOf, fake_model: FakeModel, tmp_path: Path, in_files: bool
) -> None:
    tasks = locate_store(store_of())[0].splits["train"].tasks
    request = StreamRequest(**SMALL)  # type: ignore[arg-type]
    with open_stream(store_of(), **SMALL) as stream:  # type: ignore[arg-type]
        stored = batches(stream)
    options = {"cache_bytes": 300_000, "cache": tmp_path if in_files else None}
    with live(store_of(), fake_model, "online", **options) as source:
        with pytest.raises(StreamError, match=r"would run the model \d+\.\d times over each of .* \(--cache-bytes"):
            source.open_stream(request)
        with source.open_stream(request, most_passes=100) as stream:
            assert batches(stream) == stored
        report = source.report()
    assert tasks < report.tasks_computed <= 1.1 * report.passes * tasks
    assert not list(tmp_path.iterdir())


def test_the_order_that_needs_all_rows_is_refused(store_of: StoreOf, fake_model: FakeModel) -> None:
    with live(store_of(), fake_model, "online") as source, pytest.raises(StreamError, match="order='uniform' gathers"):
        source.open_stream(StreamRequest(order="uniform"))


@pytest.mark.parametrize("encoding", ["float16", "int8"])
def test_the_first_epoch_fills_the_store_and_the_second_reads_it(
    tiny_store: StoreOf, tiny_model: TransformersModel, tmp_path: Path, encoding: str
) -> None:
    whole = tiny_store(**{"store.encoding": encoding})
    half = without(whole, tmp_path / "half", set(range(0, 99, 2)) & set(range(locate_store(whole)[0].frozen.tasks)))
    with open_stream(whole, batch_rows=200) as stream:
        stored = batches(stream, 2)
    train = locate_store(whole)[0].splits["train"]
    with live(half, tiny_model, "store") as source:
        with source.open_stream(StreamRequest(batch_rows=200)) as stream:
            assert batches(stream) == stored[: len(stored) // 2]
            computed = source.report().tasks_computed
            assert computed == len(range(0, train.tasks, 2))
            assert batches(stream) == stored[len(stored) // 2 :]
            assert source.report().tasks_computed == computed
        assert source.finish("train")
    assert contents(half) == contents(whole)
    assert verify_store(str(half)).ok


def test_an_epoch_that_was_not_finished_leaves_the_store_to_be_continued(
    store_of: StoreOf, fake_model: FakeModel, tmp_path: Path
) -> None:
    empty = without(store_of(), tmp_path / "empty", set(range(locate_store(store_of())[0].frozen.tasks)))
    request = StreamRequest(**SMALL)  # type: ignore[arg-type]
    with live(empty, fake_model, "store") as source, source.open_stream(request) as stream:
        next(iter(stream))
        stream.close()
        planned = source.planned.digest
    assert locate_store(empty)[0].tasks_done > 0
    with live(empty, fake_model, "store") as source, source.open_stream(request) as stream:
        assert source.planned.digest == planned
        assert len(batches(stream)) == stream.batches_per_epoch
        assert source.finish("train")
    assert contents(empty) == contents(store_of())


def test_a_split_that_is_not_done_is_not_finished(store_of: StoreOf, fake_model: FakeModel, tmp_path: Path) -> None:
    half = without(store_of(), tmp_path / "half", {0, 1})
    with live(half, fake_model, "store") as source:
        assert not source.finish("train")
    assert not (half / MANIFEST).exists()


def test_another_extractor_at_once_is_welcome(store_of: StoreOf, fake_model: FakeModel, tmp_path: Path) -> None:
    half = without(store_of(), tmp_path / "half", set(range(8)))
    with live(half, fake_model, "store") as source:
        with source.open_stream(StreamRequest(**SMALL)) as stream:  # type: ignore[arg-type]
            iterator = iter(stream)
            next(iterator)
            assert extract_with(fake_model, LocalObjects(half), None).complete
            rows = sum(len(batch.row_B) for batch in iterator)
        assert rows == stream.rows - 200
        assert source.finish("train")
    assert contents(half) == contents(store_of())


def test_computing_what_is_missing_writes_nothing(store_of: StoreOf, fake_model: FakeModel, tmp_path: Path) -> None:
    half = without(store_of(), tmp_path / "half", {1, 3})
    before = contents(half)
    with open_stream(store_of(), **SMALL) as stream:  # type: ignore[arg-type]
        stored = batches(stream)
    with live(half, fake_model, "compute") as source:
        with source.open_stream(StreamRequest(**SMALL)) as stream:  # type: ignore[arg-type]
            assert batches(stream) == stored
        assert source.report()[:3] == ("compute", 2, 2)
        assert not source.finish("train")
    assert contents(half) == before


@pytest.mark.parametrize("mode", ["online", "store"])
def test_statistics_of_a_store_without_rows_are_those_that_it_will_have(
    store_of: StoreOf, fake_model: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: LiveMode
) -> None:
    manifest = locate_store(store_of())[0]
    empty = without(store_of(), tmp_path / "empty", set(range(manifest.frozen.tasks)))
    with live(empty, fake_model, mode) as source, source.open_stream(StreamRequest()) as stream:
        assert source.statistics() == manifest.statistics
        list(stream)
        assert source.report().tasks_computed == manifest.frozen.tasks
    monkeypatch.setattr(module, "_STATISTICS_TASKS", 1)
    again = without(store_of(), tmp_path / "again", set(range(manifest.frozen.tasks)))
    with live(again, fake_model, mode) as source, source.open_stream(StreamRequest()):
        (count,) = {site.count for site in source.statistics().values()}
    assert count == manifest.frozen.rows_of(0)
