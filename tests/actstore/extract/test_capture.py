from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from actstore.errors import ModelError, SiteError
from actstore.extract.capture import capture


class Counting(nn.Module):
    """Doubles its input, remembers how often it ran, and returns it in some wrapping."""

    def __init__(self, wrapping: str = "tensor") -> None:
        super().__init__()
        self.runs = 0
        self.wrapping = wrapping

    def forward(self, values: Tensor) -> Any:
        self.runs += 1
        doubled = values * 2
        return {
            "tensor": doubled,
            "tuple": (doubled, None),
            "output": BaseModelOutput(last_hidden_state=doubled),
            "nothing": (),
        }[self.wrapping]


def chain(*modules: nn.Module) -> Any:
    """Return a forward pass through tensor-valued modules, from ones."""

    def run() -> Tensor:
        values = torch.ones(1, 2, 3)
        for module in modules:
            values = module(values)
        return values

    return run


def clone(_site: str, values: Tensor) -> Tensor:
    return values.clone()


def test_the_output_of_each_module_is_taken() -> None:
    first, second, third = Counting(), Counting(), Counting()
    taken = capture({"b": second, "c": third, "a": first}, chain(first, second, third), take=clone)
    assert {site: float(values.mean()) for site, values in taken.items()} == {"b": 4.0, "c": 8.0, "a": 2.0}
    assert list(taken) == ["b", "c", "a"]


@pytest.mark.parametrize("wrapping", ["tensor", "tuple", "output"])
def test_tuples_and_model_outputs_are_unwrapped(wrapping: str) -> None:
    module = Counting(wrapping)
    assert torch.equal(capture({"site": module}, chain(module), take=clone)["site"], torch.full((1, 2, 3), 2.0))


def test_nothing_runs_after_the_last_module_needed() -> None:
    first, second, third = Counting(), Counting(), Counting()
    capture({"b": second, "a": first}, chain(first, second, third), take=clone)
    assert (first.runs, second.runs, third.runs) == (1, 1, 0)


def test_a_complete_pass_can_be_asked_for() -> None:
    first, second = Counting(), Counting()
    capture({"a": first}, chain(first, second), take=clone, stop_early=False)
    assert second.runs == 1


def test_only_what_take_returns_is_kept() -> None:
    module = Counting()
    taken = capture({"site": module}, chain(module), take=lambda _site, values: values[0, :1, :1].clone())
    assert taken["site"].untyped_storage().nbytes() == 4


def test_hooks_are_gone_afterwards_even_after_an_error() -> None:
    module = Counting()
    capture({"site": module}, chain(module), take=clone)

    def fails() -> None:
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        capture({"site": module}, fails, take=clone)
    assert not module._forward_hooks


def test_two_sites_may_share_a_module() -> None:
    module = Counting()
    taken = capture({"a": module, "b": module}, chain(module), take=clone)
    assert torch.equal(taken["a"], taken["b"])


def test_a_module_that_runs_twice_is_ambiguous() -> None:
    shared, last = Counting(), Counting()
    with pytest.raises(ModelError, match="site shared runs more than once"):
        capture({"shared": shared, "last": last}, chain(shared, shared, last), take=clone)


def test_a_complete_pass_finds_a_repetition_after_the_last_site() -> None:
    shared = Counting()
    with pytest.raises(ModelError, match="runs more than once"):
        capture({"shared": shared}, chain(shared, shared), take=clone, stop_early=False)


def test_a_module_that_does_not_run_is_named() -> None:
    used, unused = Counting(), Counting()
    with pytest.raises(SiteError, match="pooler: the module does not run"):
        capture({"embed": used, "pooler": unused}, chain(used), take=clone)


def test_an_output_that_is_no_tensor_is_refused() -> None:
    module = Counting("nothing")
    with pytest.raises(SiteError, match="site: the module returns NoneType, not a tensor"):
        capture({"site": module}, chain(module), take=clone)
