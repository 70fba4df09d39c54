"""Edits of latents and the tokens they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from actstore import errors
from tests.trainers.exchange.made import draw
from trainers.exchange.edits import checked_edits, token_mask

ALL = torch.ones(2, 3, dtype=torch.bool)


def test_each_edit_does_what_it_says() -> None:
    code_NF = draw(6, 5)
    edits = checked_edits(5, set_to={0: 2.0}, add={1: -1.5}, scale={2: 3}, ablate=np.array([3]))
    wanted_NF = torch.stack(
        [torch.full((6,), 2.0), code_NF[:, 1] - 1.5, code_NF[:, 2] * 3, torch.zeros(6), code_NF[:, 4]], dim=1
    )
    assert torch.equal(edits.of(code_NF, ALL), wanted_NF)


def test_values_may_be_those_of_the_tokens() -> None:
    value_BT, mask_BT = draw(2, 3), torch.tensor([[True, False, True], [False, True, False]])
    edits = checked_edits(5, set_to={4: value_BT}, add={0: torch.tensor(1.0)})
    found_NF = edits.of(torch.zeros(3, 5), mask_BT)
    assert torch.equal(found_NF[:, 4], value_BT[mask_BT])
    assert torch.equal(found_NF[:, 0], torch.ones(3))
    with pytest.raises(errors.UsageError, match=r"shape \[3\]; give a number, or one for each of \[2, 3\] tokens"):
        checked_edits(5, add={0: torch.ones(3)}).of(torch.zeros(3, 5), mask_BT)


def test_no_edits_leave_the_code_in_a_node_of_its_own() -> None:
    code_NF = draw(6, 5).requires_grad_()
    same_NF = checked_edits(5).of(code_NF, ALL)
    assert not checked_edits(5)
    assert torch.equal(same_NF, code_NF)
    assert torch.autograd.grad(same_NF.sum(), same_NF)[0].sum() == 30


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ({"set_to": {5: 1.0}}, "no latent 5; this dictionary has 0 to 4"),
        ({"ablate": [-1]}, "no latent -1"),
        ({"ablate": ["first"]}, "latents are numbers from 0 to 4, not 'first'"),
        ({"add": {1: 1.0}, "ablate": [1]}, "latent 1 is named twice"),
        ({"ablate": [2, 2]}, "latent 2 is named twice"),
        ({"scale": {1: float("nan")}}, "latent 1: nan is not a finite number"),
        ({"set_to": {1: torch.tensor(float("nan"))}}, "latent 1: the tensor holds numbers that are not finite"),
        ({"add": {1: torch.tensor([[0.0, float("inf")]])}}, "latent 1: the tensor holds numbers that are not finite"),
        ({"set_to": {1: torch.ones(2, dtype=torch.complex64)}}, "latent 1: .* not real"),
        ({"set_to": {1: np.ones((2, 3))}}, r"latent 1: a value of type ndarray; give a number, or a torch tensor"),
        ({"set_to": {1: "4"}}, "latent 1: a value of type str; give a number"),
        ({"set_to": {1: None}}, "latent 1: a value of type NoneType; give a number"),
        ({"set_to": {1: 10**400}}, "latent 1: a value of type int"),
        ({"add": [1, 2]}, r"add is a list; give values by latent: add=\{12: 4.0\}"),
        ({"set_to": 3}, r"set is a int; give values by latent"),
        ({"scale": {1, 2}}, r"scale is a set; give values by latent"),
        ({"ablate": 5}, r"ablate is a int; give a list of latents: ablate=\[7, 9\]"),
        ({"ablate": torch.tensor(5)}, "ablate is a Tensor; give a list of latents"),
    ],
)
def test_edits_that_make_no_sense_are_refused(edits: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        checked_edits(5, **edits)


def test_a_value_beyond_the_number_format_of_the_code_is_refused() -> None:
    code_NF, mask_BT = torch.zeros(2, 5, dtype=torch.float16), torch.ones(1, 2, dtype=torch.bool)
    for value in (1e6, torch.tensor(1e6)):
        with pytest.raises(errors.UsageError, match=r"beyond torch\.float16"):
            checked_edits(5, set_to={1: value}).of(code_NF, mask_BT)


def test_a_value_that_has_become_nan_is_refused() -> None:
    value = torch.ones(2, 3)
    edits = checked_edits(5, set_to={1: value})
    value[0, 1] = torch.nan
    with pytest.raises(errors.UsageError, match="holds NaN or Inf"):
        edits.of(torch.zeros(6, 5), ALL)


@pytest.mark.parametrize(
    ("positions", "wanted"),
    [
        (None, [[1, 1, 1], [1, 1, 0]]),
        ([0, -1], [[1, 0, 1], [1, 0, 1]]),
        (range(1, 3), [[0, 1, 1], [0, 1, 1]]),
        ([], [[0, 0, 0], [0, 0, 0]]),
        (np.array([2]), [[0, 0, 1], [0, 0, 1]]),
        ([True, False, False], [[1, 0, 0], [1, 0, 0]]),
        (torch.tensor([[False, True, False], [False, False, True]]), [[0, 1, 0], [0, 0, 1]]),
    ],
)
def test_positions_are_a_mask_or_numbers_of_tokens(positions: Any, wanted: list[list[int]]) -> None:
    attended_BT = torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert token_mask(positions, attended_BT, draw(2, 3, 4)).tolist() == torch.tensor(wanted).bool().tolist()


def test_an_attention_mask_may_go_on_from_earlier_tokens() -> None:
    attended_BT = torch.tensor([[0, 1, 1], [1, 1, 1]])
    assert token_mask(None, attended_BT, draw(2, 2, 4)).tolist() == [[True, True], [True, True]]
    assert token_mask(None, attended_BT, draw(2, 3, 4)).tolist()[0] == [False, True, True]


@pytest.mark.parametrize("attended_BT", [None, torch.ones(1, 3), torch.zeros(2, 2)])
def test_without_a_mask_of_these_tokens_all_are_meant(attended_BT: Any) -> None:
    assert token_mask(None, attended_BT, draw(2, 3, 4)).all()


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        ([3], "no token 3; this forward pass has 3"),
        ([-4], "no token -4"),
        ([0.5], "a boolean mask"),
        ({1, 2}, "positions: this set cannot be read as numbers; give a boolean mask"),
        ([[True], [True, False]], "positions: this list cannot be read as numbers"),
        ("all", "positions: this str cannot be read as numbers"),
        (torch.ones(2, 3), "a boolean mask"),
        (torch.ones(3, 2, dtype=torch.bool), r"shape \[3, 2\] for 2 sequences of 3 tokens"),
    ],
)
def test_positions_that_do_not_exist_are_refused(positions: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        token_mask(positions, None, draw(2, 3, 4))
