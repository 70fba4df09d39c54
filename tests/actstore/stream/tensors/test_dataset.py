"""A stream as a dataset of torch, alone and in a `DataLoader`."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from actstore.errors import CursorError, StreamError
from actstore.stream.open import open_stream
from actstore.stream.tensors.dataset import StreamDataset, TensorBatch
from tests.actstore.stream.batches import SMALL, split_rows

StoreOf = Callable[..., Path]


@pytest.fixture
def store(store_of: StoreOf) -> Path:
    return store_of()


def opened(store: Path, **options: Any) -> Any:
    return open_stream(store, batch_rows=256, buffer_bytes=SMALL, **options)


def same(one: TensorBatch, other: TensorBatch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("options", [{}, {"order": "uniform"}, {"device": "cpu"}, {"kernels": "numpy"}], ids=str)
def test_it_yields_the_batches_of_the_stream_as_tensors(store: Path, options: dict[str, Any]) -> None:
    with opened(store, **options) as plain, opened(store, **options) as stream:
        dataset = StreamDataset(stream)
        assert len(dataset) == stream.batches_per_epoch
        for batch, tensors in zip(plain, dataset, strict=True):
            assert isinstance(tensors, TensorBatch)
            assert tensors.values_BSD.dtype == torch.float32
            assert tensors.values_BSD.tolist() == batch.values_BSD.tolist()
            assert tensors.row_B.tolist() == batch.row_B.tolist()
            assert [one_B.tolist() for one_B in tensors[1:]] == [one_B.tolist() for one_B in batch[1:]]


def test_a_loader_passes_batches_on_as_they_are(store: Path) -> None:
    """Every row of every epoch, without a copy and without another axis."""
    with opened(store) as stream:
        loader = DataLoader(StreamDataset(stream), batch_size=None)
        assert len(loader) == 27
        orders = []
        for _epoch in range(2):
            batches = list(loader)
            assert {type(batch) for batch in batches} == {TensorBatch}
            assert batches[0].values_BSD.shape == (256, 4, 16)
            orders.append([int(row) for batch in batches for row in batch.row_B])
    assert sorted(orders[0]) == sorted(orders[1]) == split_rows(store, "train")
    assert orders[0] != orders[1]


def test_memory_is_shared_with_the_stream(store: Path) -> None:
    with opened(store) as stream:
        batches = iter(stream)
        array = next(batches).values_BSD
        assert torch.as_tensor(array).data_ptr() == array.ctypes.data


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
def test_worker_processes_are_refused(store: Path, context: str) -> None:
    with opened(store) as stream:
        loader = DataLoader(StreamDataset(stream), batch_size=None, num_workers=1, multiprocessing_context=context)
        with pytest.raises(StreamError, match="fetches in its own threads; use a DataLoader with num_workers=0"):
            next(iter(loader))


@pytest.mark.parametrize("options", [{"batch_size": 8}, {}, {"batch_size": 8, "collate_fn": list}], ids=str)
def test_batches_of_batches_are_refused(store: Path, options: dict[str, Any]) -> None:
    with opened(store) as stream:
        loader = DataLoader(StreamDataset(stream), **options)
        message = (
            r"complete \(256 rows\); use a DataLoader with batch_size=None, and choose the rows .*batch_rows=\.\.\."
        )
        with pytest.raises(StreamError, match=message):
            next(iter(loader))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinning needs a CUDA device")
def test_batches_are_pinned(store: Path) -> None:
    with opened(store) as plain, opened(store) as stream:
        loader = DataLoader(StreamDataset(stream), batch_size=None, pin_memory=True)
        for batch, tensors in zip(plain, loader, strict=True):
            assert tensors.values_BSD.is_pinned()
            assert tensors.values_BSD.numpy().tobytes() == batch.values_BSD.tobytes()


@pytest.mark.parametrize("done", [0, 1, 5, 26])
def test_a_saved_state_continues_exactly(store: Path, done: int) -> None:
    with opened(store) as stream:
        whole = list(StreamDataset(stream))
    with opened(store) as stream:
        dataset = StreamDataset(stream)
        for _batch in itertools.islice(DataLoader(dataset, batch_size=None), done):
            pass
        state = json.loads(json.dumps(dataset.state_dict()))
    with opened(store) as stream:
        dataset = StreamDataset(stream)
        dataset.load_state_dict(state)
        rest = list(DataLoader(dataset, batch_size=None))
    assert all(same(one, other) for one, other in zip(whole[done:], rest, strict=True))


def test_a_foreign_state_is_refused(store: Path) -> None:
    with opened(store, seed=1) as other, opened(store) as stream:
        dataset = StreamDataset(stream)
        with pytest.raises(CursorError, match="the cursor belongs to stream"):
            dataset.load_state_dict(StreamDataset(other).state_dict())
        with pytest.raises(CursorError, match="not a cursor"):
            dataset.load_state_dict({"epoch": 0})


@pytest.mark.parametrize("options", [{"batch_size": 8}, {"batch_size": None}])
def test_a_loader_of_a_bare_stream_says_what_to_write(store: Path, options: dict[str, Any]) -> None:
    with (
        open_stream(store, batch_rows=500) as stream,
        pytest.raises(StreamError, match=r"DataLoader\(StreamDataset\(stream\), batch_size=None\)"),
    ):
        next(iter(DataLoader(stream, **options)))  # type: ignore[arg-type]


def test_a_dataset_of_something_else_is_refused_at_once(store: Path) -> None:
    with pytest.raises(StreamError, match=r"StreamDataset takes a stream, not .*give it open_stream"):
        StreamDataset(str(store))  # type: ignore[arg-type]
