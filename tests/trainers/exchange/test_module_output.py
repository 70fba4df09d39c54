"""Activations are found in every kind of output, and replaced in a copy of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from actstore import errors
from trainers.exchange.module_output import activations_in, with_activations

VALUES, NEW, OTHER = torch.zeros(2, 3, 4), torch.ones(2, 3, 4), torch.full((1,), 5.0)


class Named(NamedTuple):
    states: Tensor
    weights: Tensor


@pytest.mark.parametrize(
    "output",
    [
        VALUES,
        (VALUES, OTHER, None),
        [VALUES, OTHER],
        Named(VALUES, OTHER),
        {"states": VALUES, "weights": OTHER},
        BaseModelOutputWithPooling(last_hidden_state=VALUES, pooler_output=OTHER),
    ],
    ids=lambda output: type(output).__name__,
)
def test_they_are_found_and_replaced(output: Any) -> None:
    assert activations_in(output, site="site", width=4) is VALUES
    changed = with_activations(output, NEW)
    assert type(changed) is type(output)
    assert activations_in(changed, site="site", width=4) is NEW
    assert activations_in(output, site="site", width=4) is VALUES
    if not isinstance(output, Tensor):
        assert len(changed) == len(output)
        rest = list(changed.values() if isinstance(changed, dict) else changed)[1:]
        assert rest[0] is OTHER
    if isinstance(changed, BaseModelOutputWithPooling):
        assert changed.last_hidden_state is NEW
        assert output.last_hidden_state is VALUES


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (None, "site: the module returns NoneType"),
        ((), "NoneType"),
        ({}, "NoneType"),
        (torch.zeros(2, 3, 5), r"a tensor of shape \[2, 3, 5\]; this dictionary reads \[batch, tokens, 4\]"),
        (torch.zeros(2, 4), r"shape \[2, 4\]"),
    ],
)
def test_what_has_no_vector_for_each_token_is_refused(output: Any, said: str) -> None:
    with pytest.raises(errors.SiteError, match=said):
        activations_in(output, site="site", width=4)
