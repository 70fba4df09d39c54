"""Each thread has torch to itself, and nobody else is changed by it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.recipe import ModelRecipe
from actstore.extract.model import load_model
from actstore.extract.threads import LoneThreads


@pytest.fixture
def two_torch_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_and_the_first_error_come_in_the_order_of_the_items() -> None:
    with LoneThreads(3) as threads:
        assert list(threads.map(abs, [-1, 2, -3])) == [1, 2, 3]
        results = threads.map(lambda x: 1 // x, [1, 0, 0])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_as_many_are_under_way_as_there_are_threads() -> None:
    together = threading.Barrier(3, timeout=30)
    with LoneThreads(3) as threads:
        assert sorted(threads.map(lambda _: together.wait(), range(3))) == [0, 1, 2]


@pytest.mark.usefixtures("two_torch_threads")
def test_torch_uses_one_thread_there_and_as_many_as_before_elsewhere() -> None:
    with LoneThreads() as threads:
        assert set(threads.map(lambda _: torch.get_num_threads(), range(20))) == {1}
        assert torch.get_num_threads() == 2
        other: list[int] = []
        late = threading.Thread(target=lambda: other.append(torch.get_num_threads()))
        late.start()
        late.join()
        assert other == [2]


def test_its_threads_end_with_it() -> None:
    before = threading.active_count()
    with LoneThreads(2) as threads:
        list(threads.map(abs, [1]))
    assert threading.active_count() == before


def test_threads_that_cannot_start_are_an_error_and_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    start, before = threading.Thread.start, threading.active_count()

    def refused_the_second_time(thread: threading.Thread) -> None:
        if threading.active_count() > before:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused_the_second_time)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        LoneThreads(2)
    assert threading.active_count() == before


def test_forward_passes_of_one_model_do_not_disturb_each_other(esm2_tiny: Path) -> None:
    model = load_model(ModelRecipe(name=str(esm2_tiny)), ["embed", "resid_post.1", "final_norm"])
    batches = [["ACDEFGHIKL" * (i % 5 + 1), "MNPQ" * (i + 1)] for i in range(12)]
    kept = [[np.arange(len(text), dtype=np.int32) for text in batch] for batch in batches]
    with LoneThreads(1) as threads:
        alone = list(threads.map(lambda i: model.activations(batches[i], kept[i]), range(12)))
    with LoneThreads(4) as threads:
        together = list(threads.map(lambda i: model.activations(batches[i], kept[i]), range(12)))
    for one, other in zip(alone, together, strict=True):
        for site in one:
            np.testing.assert_array_equal(one[site], other[site])
