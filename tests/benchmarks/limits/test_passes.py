import numpy as np
import torch

from actstore.extract.inputs import padded
from actstore.testing.fake_model import FakeModel
from benchmarks.limits.passes import Clock, in_lone_threads, padding_of


def test_padding_is_the_share_of_the_area_that_no_token_fills() -> None:
    tokenizer = FakeModel().tokenizer
    inputs = [padded(["A" * 8, "A" * 3], tokenizer), padded(["A" * 4], tokenizer)]
    tokens = [10 + 5, 6]
    assert padding_of(inputs) == round(1 - sum(tokens) / (2 * 10 + 6), 4)


def test_lone_threads_take_every_item_once() -> None:
    seen: list[int] = []
    assert in_lone_threads(seen.append, range(50)) >= 0
    assert sorted(seen) == list(range(50))


def test_a_clock_runs_inside_its_block() -> None:
    with Clock(torch.device("cpu")) as clock:
        np.ones(10).sum()
    assert clock.seconds > 0
