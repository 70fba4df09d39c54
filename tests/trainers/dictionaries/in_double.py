"""Dictionaries in float64 with random weights, and gradients by finite differences."""

from collections.abc import Callable, Collection
from typing import TypeVar

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import Dictionary

D = TypeVar("D", bound=Dictionary)


def drawn(dictionary: D, *, seed: int = 7) -> D:
    """Return it in float64, with random weights."""
    generator = torch.Generator().manual_seed(seed)
    made = dictionary.double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return made


def rows_for(dictionary: Dictionary, *, rows: int = 11) -> Tensor:
    generator = torch.Generator().manual_seed(8)
    shape = (rows, dictionary.shape.sites, dictionary.shape.width)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def gradients_agree(dictionary: Dictionary, loss: Callable[[], Tensor], *, of: Collection[str] = ()) -> bool:
    """Return whether the gradients of a loss, in all parameters or in some, are those of finite differences."""
    parameters = [one for name, one in dictionary.named_parameters() if not of or name in of]
    return torch.autograd.gradcheck(lambda *_: loss(), parameters)
