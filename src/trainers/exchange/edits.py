"""Which latents are changed, by how much, and at which tokens."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore import errors
from trainers.exchange.rows import tensor_of

__all__ = ["Edits", "Positions", "Value", "checked_edits", "token_mask"]

Value: TypeAlias = float | Tensor
"""A number for all tokens, or a tensor [batch, tokens]; gradients flow to a tensor."""
Positions: TypeAlias = Tensor | NDArray[np.generic] | Sequence[int] | Sequence[bool] | Sequence[Sequence[bool]] | range
"""A boolean mask [batch, tokens] or [tokens], or numbers of tokens, which count from the end if they are negative."""


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes of a code: each edited latent becomes ``factor * value + shift``."""

    latents: tuple[int, ...] = ()
    factors: tuple[Value, ...] = ()
    shifts: tuple[Value, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.latents)

    def of(self, code_NF: Tensor, mask_BT: Tensor) -> Tensor:
        """Return the edited code of the N tokens of a mask: a node of its own in the graph of gradients.

        Raises
        ------
        UsageError
            If a value is a tensor of another shape than the tokens, or not finite in the number format of the code.
        """
        if not self.latents:
            return code_NF.view_as(code_NF)
        index_E = torch.tensor(self.latents, device=code_NF.device)
        factor_NE, shift_NE = (
            torch.stack([_at_tokens(value, code_NF, mask_BT) for value in values], dim=1)
            for values in (self.factors, self.shifts)
        )
        return code_NF.index_copy(1, index_E, code_NF.index_select(1, index_E) * factor_NE + shift_NE)


def checked_edits(
    latents: int,
    *,
    set_to: Mapping[int, Value] | None = None,
    add: Mapping[int, Value] | None = None,
    scale: Mapping[int, Value] | None = None,
    ablate: Iterable[int] = (),
) -> Edits:
    """Return the edits of a code with so many latents.

    Raises
    ------
    UsageError
        If a latent does not exist or is named twice, or a value is no finite number.
    """
    changes: list[tuple[int, Value, Value]] = [
        *((latent, 0.0, value) for latent, value in _by_latent("set", set_to)),
        *((latent, 1.0, value) for latent, value in _by_latent("add", add)),
        *((latent, value, 0.0) for latent, value in _by_latent("scale", scale)),
        *((latent, 0.0, 0.0) for latent in _listed(ablate)),
    ]
    seen: set[int] = set()
    for latent, *values in changes:
        number = _latent(latent, latents)
        if number in seen:
            raise errors.UsageError(f"latent {number} is named twice; give it one of set, add, scale and ablate")
        seen.add(number)
        for value in values:
            _refuse_no_value(number, value)
    return Edits(
        tuple(_latent(latent, latents) for latent, _, _ in changes),
        tuple(factor for _, factor, _ in changes),
        tuple(shift for _, _, shift in changes),
    )


def token_mask(positions: Positions | None, attended_BT: Tensor | None, values_BTD: Tensor) -> Tensor:
    """Return which tokens are meant: bool [batch, tokens], on the device of the activations.

    Parameters
    ----------
    positions
        As the user gave them; None for all tokens that are attended to.
    attended_BT
        Attention mask, if it is known: of these tokens, or of earlier ones and these.

    Raises
    ------
    UsageError
        If there are no such tokens.
    """
    batch, tokens = values_BTD.shape[:2]
    if positions is None:
        if attended_BT is None or attended_BT.shape[0] != batch or attended_BT.shape[1] < tokens:
            return torch.ones(batch, tokens, dtype=torch.bool, device=values_BTD.device)
        return (attended_BT[:, -tokens:] != 0).to(values_BTD.device)
    given = tensor_of(
        positions, what="positions", wanted="a boolean mask [batch, tokens] or [tokens], or a list of token numbers"
    )
    if given.dtype == torch.bool:
        if tuple(given.shape) not in {(batch, tokens), (tokens,)}:
            raise errors.UsageError(
                f"positions of shape {list(given.shape)} for {batch} sequences of {tokens} tokens; "
                "give a mask [batch, tokens] or [tokens], or numbers of tokens"
            )
        return given.to(values_BTD.device).expand(batch, tokens)
    if given.ndim != 1 or (given.numel() and (given.is_floating_point() or given.is_complex())):
        raise errors.UsageError("positions are a boolean mask [batch, tokens] or [tokens], or a list of token numbers")
    numbers = given.long().tolist()
    if beyond := [number for number in numbers if not -tokens <= number < tokens]:
        raise errors.UsageError(f"there is no token {beyond[0]}; this forward pass has {tokens}")
    mask_BT = torch.zeros(batch, tokens, dtype=torch.bool, device=values_BTD.device)
    mask_BT[:, numbers] = True
    return mask_BT


def _latent(given: int, latents: int) -> int:
    try:
        number = operator.index(given)
    except TypeError:
        raise errors.UsageError(f"latents are numbers from 0 to {latents - 1:,}, not {given!r}") from None
    if not 0 <= number < latents:
        raise errors.UsageError(f"there is no latent {number}; this dictionary has 0 to {latents - 1:,}")
    return number


def _by_latent(name: str, edits: Mapping[int, Value] | None) -> Iterable[tuple[int, Value]]:
    """Return the latents of one kind of edit and their values."""
    if edits is None:
        return ()
    if not isinstance(edits, Mapping):
        raise errors.UsageError(
            f"{name} is a {type(edits).__name__}; give values by latent: {name}={{12: 4.0}}, where 12 is the latent"
        )
    return edits.items()


def _listed(latents: Iterable[int]) -> Iterable[int]:
    if not isinstance(latents, Iterable) or (isinstance(latents, Tensor) and not latents.ndim):
        raise errors.UsageError(f"ablate is a {type(latents).__name__}; give a list of latents: ablate=[7, 9]")
    return latents


def _refuse_no_value(latent: int, value: object) -> None:
    """Raise `UsageError` unless a value is a finite number, or a tensor of such."""
    if isinstance(value, Tensor):
        if value.is_complex() or not bool(torch.isfinite(value).all()):
            raise errors.UsageError(f"latent {latent}: the tensor holds numbers that are not finite, or not real")
        return
    try:
        number = None if isinstance(value, np.ndarray) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, str):
        raise errors.UsageError(
            f"latent {latent}: a value of type {type(value).__name__}; give a number, or a torch tensor [batch, tokens]"
        )
    if not math.isfinite(number):
        raise errors.UsageError(f"latent {latent}: {value} is not a finite number")


def _at_tokens(value: Value, code_NF: Tensor, mask_BT: Tensor) -> Tensor:
    if not isinstance(value, Tensor):
        if abs(value) > torch.finfo(code_NF.dtype).max:
            raise errors.UsageError(f"the value {value:g} of a latent is beyond {code_NF.dtype}; give a smaller one")
        return code_NF.new_full((len(code_NF),), value)
    if value.ndim and value.shape != mask_BT.shape:
        raise errors.UsageError(
            f"the value of a latent has shape {list(value.shape)}; give a number, or one for each of "
            f"{list(mask_BT.shape)} tokens"
        )
    own = value.to(device=code_NF.device, dtype=code_NF.dtype)
    if not bool(torch.isfinite(own).all()):  # it may have changed since it was given
        raise errors.UsageError(f"the value of a latent holds NaN or Inf, or numbers beyond {code_NF.dtype}")
    return own[mask_BT.to(code_NF.device)] if value.ndim else own.expand(len(code_NF))
