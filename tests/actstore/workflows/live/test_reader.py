"""Windows that the model computes: those of a store, to the bit."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from actstore.contracts.windows import RowBuffer, RowWindow
from actstore.errors import NumericsError, StreamError
from actstore.extract.model import TransformersModel
from actstore.extract.threads import LoneThreads
from actstore.store.read.open import locate_store
from actstore.store.read.reader import StoreReader
from actstore.store.read.selection import StoredColumns
from actstore.store.write.sequences import StoredSequences
from actstore.testing.conformance_windows import WINDOW_CHECKS, WindowCase
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extraction.plan import replan
from actstore.workflows.live.kept_rows import KeptRows
from actstore.workflows.live.reader import HybridReader, LiveReader, OnceAtATime

StoreOf = Callable[..., Path]
ENCODINGS = ["float16", "bfloat16", "int8", "int4"]
SITES = ("resid_post.1", "embed")


@contextmanager
def live_reader(
    store: Path, model: FakeModel | TransformersModel, *, kept_bytes: int = 1 << 30, sites: tuple[str, ...] = SITES
) -> Iterator[tuple[LiveReader, StoreReader]]:
    """Return a reader that computes the rows of a store, and one that loads them."""
    manifest, objects = locate_store(store)
    columns = StoredColumns.of(manifest, sites, uri=objects.uri)
    prepared = replan(objects, manifest.frozen, model)
    with StoredSequences(objects) as source, LoneThreads(2) as threads:
        kept = KeptRows(kept_bytes)
        live = LiveReader(prepared, source, model, columns, kept=kept, threads=threads)
        yield live, StoreReader(objects, manifest, columns)


def tasks_of(store: Path) -> dict[int, int]:
    manifest, _ = locate_store(store)
    return {task: manifest.frozen.rows_of(task) for task in (0, manifest.frozen.tasks - 1)}


def read(reader: LiveReader | StoreReader | HybridReader, window: RowWindow) -> RowBuffer:
    buffer = RowBuffer.allocate(window.stop - window.start, reader.layout)
    reader.read(window, buffer)
    return buffer


@pytest.mark.parametrize("encoding", ["float16", "int8"])
@pytest.mark.parametrize("check", WINDOW_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(
    store_of: StoreOf, fake_model: FakeModel, check: Callable[[WindowCase], None], encoding: str
) -> None:
    store = store_of(**{"store.encoding": encoding})
    with live_reader(store, fake_model) as (live, _):
        check(WindowCase(live, tasks=tasks_of(store)))


def test_it_conforms_when_nothing_is_kept(store_of: StoreOf, fake_model: FakeModel) -> None:
    with live_reader(store_of(), fake_model, kept_bytes=0) as (live, _):
        for check in WINDOW_CHECKS:
            check(WindowCase(live, tasks=tasks_of(store_of())))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_trained_model_gives_the_rows_of_the_store_to_the_bit(
    tiny_store: StoreOf, tiny_model: TransformersModel, encoding: str
) -> None:
    store = tiny_store(**{"store.encoding": encoding})
    with live_reader(store, tiny_model) as (live, stored):
        used = [live._columns.site_columns]
        for task, rows in tasks_of(store).items():
            computed, loaded = (read(reader, RowWindow(task, 0, rows)) for reader in (live, stored))
            for one, other in zip(computed.values, loaded.values, strict=True):
                assert one.tobytes() == other.tobytes()
            for one_R, other_R in zip(computed.origin, loaded.origin, strict=True):
                np.testing.assert_array_equal(one_R, other_R)
            if computed.scale_RTG is not None and loaded.scale_RTG is not None:
                np.testing.assert_array_equal(computed.scale_RTG[:, used], loaded.scale_RTG[:, used])


def test_blocks_behind_the_last_site_that_is_streamed_do_not_run(
    tiny_store: StoreOf, tiny_model: TransformersModel
) -> None:
    store = tiny_store()
    ran: list[str] = []
    blocks = dict(tiny_model.network.get_submodule("encoder.layer").named_children())
    hooks = [block.register_forward_pre_hook(lambda *_, name=name: ran.append(name)) for name, block in blocks.items()]
    try:
        with live_reader(store, tiny_model) as (live, _):
            read(live, RowWindow(0, 0, 1))
            assert set(ran) == {"0", "1"}
            live.measured(0)
            assert set(ran) == blocks.keys()
    finally:
        for hook in hooks:
            hook.remove()


def test_a_task_is_computed_once_however_many_threads_want_it(store_of: StoreOf, fake_model: FakeModel) -> None:
    with live_reader(store_of(), fake_model) as (live, _), ThreadPoolExecutor(8) as pool:
        windows = [RowWindow(task, start, start + 16) for task in (0, 1) for start in range(0, 512, 16)]
        list(pool.map(lambda window: read(live, window), windows))
        assert live.tasks_computed == 2


def test_values_that_the_encoding_cannot_hold_stop_it_as_they_stop_an_extraction(
    store_of: StoreOf, fake_model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(**{"store.encoding": "float16"})
    monkeypatch.setattr("actstore.quantize.floats.Float16.largest", 1e-3)
    with live_reader(store, fake_model) as (live, _), pytest.raises(NumericsError, match="values exceed float16"):
        read(live, RowWindow(0, 0, 1))


def test_an_interrupted_reader_ends(store_of: StoreOf, fake_model: FakeModel) -> None:
    with live_reader(store_of(), fake_model) as (live, _):
        live.interrupt()
        with pytest.raises(StreamError, match="were being computed when"):
            read(live, RowWindow(0, 0, 1))


def test_what_is_done_once_fails_for_all_who_wait_and_can_be_tried_again() -> None:
    once, entered, failures = OnceAtATime(), threading.Event(), []

    def fail() -> None:
        entered.set()
        while len(waiting) < 2:
            time.sleep(0.001)
        raise RuntimeError("no")

    def attempt() -> None:
        try:
            once(1, fail)
        except RuntimeError as error:
            failures.append(error)

    def wait() -> None:
        entered.wait()
        waiting.append(1)
        attempt()

    waiting: list[int] = []
    threads = [threading.Thread(target=attempt), *(threading.Thread(target=wait) for _ in range(2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 3
    assert once(1, lambda: "yes") == "yes"


def test_a_hybrid_asks_only_for_what_nobody_has_committed(store_of: StoreOf, fake_model: FakeModel) -> None:
    manifest, objects = locate_store(store_of())
    with live_reader(store_of(), fake_model) as (_, stored):

        def supply(window: RowWindow, into: RowBuffer) -> bool:
            raise AssertionError(f"{window} was committed, if late: {len(into)} rows")

        hybrid = HybridReader(objects, stored, supply, missing=range(manifest.frozen.tasks))
        for check in WINDOW_CHECKS:
            check(WindowCase(hybrid, tasks=tasks_of(store_of())))
