from pathlib import Path

import pytest
import torch

from tests.trainers.ranked import on_ranks
from trainers.dictionaries.ranks import (
    all_max,
    all_sum,
    global_topk_threshold,
    rank_count,
    sum_in_place,
    told_by_first,
)


def test_alone_every_number_is_that_of_all() -> None:
    values = torch.tensor([3.0, 1.0], requires_grad=True)
    assert rank_count() == 1
    assert all_sum(values) is values
    assert all_max(values) is values
    sum_in_place([values])
    assert told_by_first("runs/a", device=torch.device("cpu")) == "runs/a"


@pytest.mark.parametrize(("count", "threshold"), [(1, 5.0), (3, 2.0), (4, 2.0), (5, 2.0)])
def test_the_threshold_leaves_as_many_positive_values_as_are_asked_for(count: int, threshold: float) -> None:
    assert float(global_topk_threshold(torch.tensor([[3.0, -1.0], [2.0, 5.0]]), count)) == threshold


def test_no_positive_value_is_at_an_infinite_threshold() -> None:
    assert float(global_topk_threshold(torch.tensor([0.0, -1.0]), 1)) == torch.inf


def test_several_ranks_have_the_numbers_of_all(tmp_path: Path) -> None:
    program = """
from trainers.dictionaries.ranks import *
values = torch.arange(3.0) + 10 * rank
sums = all_sum(values).tolist()
turned = (torch.arange(6.0) * (rank + 1)).reshape(2, 3).t()
sum_in_place([turned])
own = torch.tensor([9.0, 1.0, 2.0] if rank else [8.0, 3.0])
kept = [global_topk_threshold(own, count).item() for count in (1, 2, 3, 6)]
told = told_by_first(f"rank {rank} \\u2014 first", device=torch.device("cpu"))
rows = rows_of_all(rank + 3, device=torch.device("cpu"))
say([rank_count(), sums, values.tolist(), all_max(values).tolist(), turned.tolist(), kept, told, rows])
"""
    for rank, said in enumerate(on_ranks(program, tmp_path)):
        assert said[:2] == [2, [10.0, 12.0, 14.0]]
        assert said[2] == [10.0 * rank + value for value in range(3)], "the values themselves stay"
        assert said[3] == [10.0, 11.0, 12.0]
        assert said[4] == (3 * torch.arange(6.0)).reshape(2, 3).t().tolist()
        assert said[5] == [9.0, 8.0, 3.0, 1.0]
        assert said[6] == "rank 0 — first"
        assert said[7] == 7


def test_a_function_of_a_sum_over_ranks_has_the_gradient_of_one_process(tmp_path: Path) -> None:
    """The objective is the sum of the ranks' shares of it."""
    program = """
from trainers.dictionaries.ranks import *
x = torch.tensor([1.0, 2.0] if rank else [3.0, 4.0], requires_grad=True)
share = 0.25 if rank else 0.75
(share * (all_sum((x ** 2).sum()) - 20.0) ** 2).backward()
say(x.grad.tolist())
"""
    whole = torch.tensor([3.0, 4.0, 1.0, 2.0], requires_grad=True)
    (((whole**2).sum() - 20.0) ** 2).backward()  # type: ignore[no-untyped-call]
    assert whole.grad is not None
    gradient = [value for said in on_ranks(program, tmp_path) for value in said]
    assert gradient == pytest.approx(whole.grad.tolist())


def test_a_rank_whose_partner_is_gone_says_so_and_does_not_wait(tmp_path: Path) -> None:
    program = """
import os, sys
from trainers.dictionaries.ranks import *
all_sum(torch.ones(1))
if rank:
    say("gone")
else:
    try:
        all_sum(torch.ones(1))
    except LostRank as error:
        say(str(error))
sys.stdout.flush()
os._exit(0)  # as a process that is killed: threads of gloo do not end in order without a partner
"""
    first, _ = on_ranks(program, tmp_path)
    assert "another process of this run ended, or did not answer in time" in first
