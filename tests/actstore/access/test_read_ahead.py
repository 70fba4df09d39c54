"""Results come in order, errors too, and never many more than asked for."""

import threading
import time
from collections.abc import Iterator

import pytest

from actstore.access.read_ahead import REQUESTS, map_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    def slow_if_even(item: int) -> int:
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(map_ahead(slow_if_even, range(100))) == [item * item for item in range(100)]


def test_several_are_under_way_at_a_time_and_no_more_than_threads() -> None:
    together = threading.Barrier(3)
    lock = threading.Lock()
    now = most = 0

    def meet(item: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(timeout=30)
        with lock:
            now -= 1
        return item

    assert list(map_ahead(meet, range(9), threads=3)) == list(range(9))
    assert most == 3


def test_items_are_not_taken_long_before_their_results_are() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(10_000):
            taken += 1
            yield item

    results = map_ahead(str, items())
    assert taken == 0
    for wanted in range(5):
        assert next(results) == str(wanted)
    assert taken <= 5 + 2 * REQUESTS
    results.close()  # type: ignore[attr-defined] # it is a generator
    assert taken <= 5 + 2 * REQUESTS


def test_the_first_error_is_that_of_the_first_item() -> None:
    failed = threading.Event()

    def fail(item: int) -> int:
        if item == 3:
            failed.wait(30)
            raise ValueError("3")
        if item == 5:
            failed.set()
            raise ValueError("5")
        return item

    results = map_ahead(fail, range(10))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="3"):
        next(results)


def test_no_items_give_no_results() -> None:
    assert list(map_ahead(str, [])) == []
