"""The buffer on a device: encoded rows go there once, and are gathered and decoded where they are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.windows import RowWindow
from actstore.quantize.table import QUANTIZERS
from actstore.stream.open import open_stream
from actstore.stream.order import Fill, TaskRuns, WindowOrder
from actstore.stream.stages import BufferedStage, LoadedFill, places_of
from actstore.stream.tensors.device import DeviceGather, DeviceStage
from actstore.stream.tensors.gather import TorchGather
from actstore.stream.tensors.memory import RING
from actstore.testing.fake_reader import FakeReader
from tests.actstore.stream.batches import SMALL, arrays_of, rows_of, split_rows
from tests.actstore.stream.encoded import encode_rows

StoreOf = Callable[..., Path]
TASKS = dict.fromkeys(range(6), 64)
FILL_ROWS = 48
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]


def reader_of(*, scaled: bool = True) -> FakeReader:
    return FakeReader(TASKS, task_rows=64, sites=["embed", "final_norm"], width=4, scaled=scaled)


def fills() -> list[Fill]:
    order = WindowOrder(TaskRuns.of(list(TASKS.items()), task_rows=64), window_rows=8, seed=0, epoch=0)
    return [order.fill(start, start + FILL_ROWS) for start in range(0, 6 * 64, FILL_ROWS)]


def load(stage: BufferedStage | DeviceStage, fill: Fill) -> LoadedFill:
    loaded, jobs = stage.begin(fill)
    for job in reversed(jobs):
        job()
    return loaded


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("scaled", [True, False])
def test_fills_arrive_on_the_device_as_they_were_read(device: str, scaled: bool) -> None:
    stage = DeviceStage(reader_of(scaled=scaled), rows=FILL_ROWS, device=device)
    assert stage.name == "device"
    for fill in fills():
        loaded = load(stage, fill)
        reference = load(BufferedStage(reader_of(scaled=scaled), rows=FILL_ROWS), fill)
        assert {values.device.type for values in loaded.buffer.values} == {device}
        for found, wanted in zip(loaded.buffer.values, reference.buffer.values, strict=True):
            assert found.cpu().numpy().tobytes() == wanted.tobytes()
        assert loaded.buffer.origin.sequence_R.tolist() == reference.buffer.origin.sequence_R.tolist()
        assert loaded.take_R is fill.place_R
        if reference.buffer.scale_RTG is not None:
            assert loaded.buffer.scale_RTG is not None
            assert loaded.buffer.scale_RTG.cpu().numpy().tobytes() == reference.buffer.scale_RTG.tobytes()
        stage.release(loaded)


@pytest.mark.parametrize("device", DEVICES)
def test_two_rooms_serve_all_fills_and_one_that_was_given_up_is_not_used_again(device: str) -> None:
    stage = DeviceStage(reader_of(), rows=FILL_ROWS, device=device)
    given_up = load(stage, fills()[0])
    stage.discard(given_up)
    held, buffers = None, []
    for fill in fills()[1:]:
        loaded = load(stage, fill)
        buffers.append(loaded.buffer)
        if held is not None:
            stage.release(held)
        held = loaded
    assert len({id(buffer) for buffer in buffers}) == 2
    assert all(buffer is not given_up.buffer for buffer in buffers)


def test_closing_closes_the_reader_and_frees_the_memory() -> None:
    reader = reader_of()
    stage = DeviceStage(reader, rows=FILL_ROWS, device="cpu")
    stage.release(load(stage, fills()[0]))
    load(stage, fills()[1])
    stage.close()
    assert reader.closed
    assert not stage._idle
    assert not stage._taken


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("encoding", QUANTIZERS)
@pytest.mark.parametrize("width", [16, 299, 300, 1024])
def test_rows_are_decoded_there_as_elsewhere(encoding: str, width: int, device: str) -> None:
    """Sites in another order than stored, scales of a wider site beside theirs."""
    encoded = encode_rows(encoding, rows=200, width=width, columns=(3, 0), pad_groups=1 if width != 16 else 0)
    buffer = type(encoded.buffer)(
        tuple(torch.from_numpy(values).to(device) for values in encoded.buffer.values),
        None if encoded.buffer.scale_RTG is None else torch.from_numpy(encoded.buffer.scale_RTG).to(device),
        encoded.buffer.origin,
    )
    take_B = np.random.default_rng(0).permutation(200)[:150]
    batch_BSD = DeviceGather(encoded.decoding, batch_rows=150, device=device)(buffer, take_B)
    assert (batch_BSD.device.type, batch_BSD.dtype) == (device, torch.float32)
    found_BSD = batch_BSD.cpu().numpy()
    np.testing.assert_allclose(found_BSD, encoded.decoded_NSD[take_B], rtol=1e-6, atol=2e-5)
    if encoded.buffer.scale_RTG is None:
        assert found_BSD.tobytes() == encoded.decoded_NSD[take_B].tobytes()
    if device == "cpu":
        reference_BSD = TorchGather(encoded.decoding, batch_rows=150)(encoded.buffer, take_B)
        np.testing.assert_allclose(found_BSD, reference_BSD, rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_a_stream_with_a_device_gives_tensors_there(store_of: StoreOf, device: str) -> None:
    """The same rows in the same order as a stream without, every row once."""
    with (
        open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL) as here,
        open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL, device=device) as there,
    ):
        expected, found = list(here), list(there)
        assert there.report().path == "device"
        assert there.cursor == here.cursor
    assert sorted(rows_of(found)) == split_rows(store_of(), "train")
    for one, other in zip(expected, found, strict=True):
        assert isinstance(other.values_BSD, torch.Tensor)
        assert other.values_BSD.device.type == device
        assert one.row_B.tolist() == other.row_B.tolist()
        assert one.sequence_B.tolist() == other.sequence_B.tolist()
        np.testing.assert_allclose(one.values_BSD, other.values_BSD.cpu().numpy(), rtol=1e-6, atol=2e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_memory_there_is_used_again_by_the_third_batch_after_it_if_asked_for(store_of: StoreOf, device: str) -> None:
    with open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL, device=device, reuse=True) as stream:
        batches = iter(stream)
        places = [next(batches).values_BSD.data_ptr() for _ in range(2 * RING)]
    assert len(set(places[:RING])) == RING
    assert places == places[:RING] * 2


@pytest.mark.parametrize("device", DEVICES)
def test_batches_there_stay_valid(store_of: StoreOf, device: str) -> None:
    with open_stream(store_of(), batch_rows=256, buffer_bytes=SMALL, device=device) as stream:
        kept = list(stream)
        stream.seek(replace(stream.cursor, epoch=0))
        for batch, again in zip(kept, stream, strict=True):
            assert torch.equal(batch.values_BSD, again.values_BSD)


def test_one_site_is_a_view_there_too(store_of: StoreOf) -> None:
    with open_stream(store_of(), sites=["embed"], batch_rows=256, device="cpu") as stream:
        batch = next(iter(stream))
    assert batch.values_BD.shape == (256, 16)
    assert batch.values_BD.data_ptr() == batch.values_BSD.data_ptr()
    assert arrays_of(batch)[0].shape == (256, 1, 16)


def test_windows_of_one_fill_may_come_from_several_threads_at_once() -> None:
    """Each is copied as soon as it is read, into its own part."""
    stage = DeviceStage(reader_of(), rows=FILL_ROWS, device="cpu")
    fill = fills()[0]
    loaded, jobs = stage.begin(fill)
    assert len(jobs) == len(fill.windows)
    loaded.buffer.values[0].fill_(99)
    first = fill.windows[0].stop - fill.windows[0].start
    jobs[[start for _, start, _ in places_of(fill)].index(first)]()
    second = fill.windows[1].stop - fill.windows[1].start
    alone = load(BufferedStage(reader_of(), rows=second), Fill((RowWindow(*fill.windows[1]),), *([fill.row_R] * 2)))
    assert (loaded.buffer.values[0][:first] == 99).all()
    assert loaded.buffer.values[0][first : first + second].numpy().tobytes() == alone.buffer.values[0].tobytes()
    assert (loaded.buffer.values[0][first + second :] == 99).all()
