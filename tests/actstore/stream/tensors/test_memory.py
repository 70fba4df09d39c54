"""Memory for batches: lent as long as somebody holds it, or a ring of three."""

import gc
from typing import Any

import numpy as np
import pytest
import torch

from actstore.stream.tensors.memory import RING, batch_memory

SHAPE = (4, 1, 2)


def test_a_ring_hands_out_three_places_in_turn() -> None:
    memory = batch_memory(SHAPE, reuse=True)
    places = [memory().data_ptr() for _ in range(3 * RING)]
    assert len(set(places[:RING])) == RING
    assert places == places[:RING] * 3


@pytest.mark.parametrize(
    "view",
    [
        lambda batch: batch,
        lambda batch: batch[1:2],
        lambda batch: batch.numpy(),
        lambda batch: batch[:3].numpy()[1:, 0],
        lambda batch: np.lib.stride_tricks.sliding_window_view(batch.numpy(), 2, axis=0),
        lambda batch: memoryview(batch.numpy()),
        lambda batch: torch.from_numpy(batch.numpy()[2:])[:, :, 1],
        lambda batch: batch.requires_grad_().sum(),  # autograd keeps it
        lambda batch: batch.__dlpack__(),
    ],
    ids=range(9),
)
def test_memory_is_lent_as_long_as_anything_refers_to_it(view: Any) -> None:
    memory = batch_memory(SHAPE, reuse=False)
    batch = memory()
    place = batch.data_ptr()
    kept = view(batch)
    del batch
    gc.collect()
    others = [memory() for _ in range(2 * RING)]
    assert place not in {other.data_ptr() for other in others}
    del kept
    gc.collect()
    assert memory().data_ptr() == place


def test_a_loop_uses_two_places() -> None:
    """As `for batch in stream` does: the consumer holds one batch while the next is made."""
    memory = batch_memory(SHAPE, reuse=False)
    places = set()
    held = None
    for _ in range(10):
        batch = memory()
        places.add(batch.data_ptr())
        held = batch
    assert held is not None
    assert len(places) == 2


def test_of_many_batches_given_back_only_a_few_are_kept() -> None:
    memory = batch_memory((1 << 18, 1, 1), reuse=False)
    many = [memory() for _ in range(20)]
    places = {batch.data_ptr() for batch in many}
    many.clear()
    again = [memory() for _ in range(RING)]
    assert {batch.data_ptr() for batch in again} <= places
    assert len(memory._idle) == 0  # type: ignore[attr-defined]


def test_it_is_aligned_as_torch_aligns() -> None:
    memory = batch_memory((3, 5, 7), reuse=False)
    assert all(memory().data_ptr() % 64 == 0 for _ in range(5))
