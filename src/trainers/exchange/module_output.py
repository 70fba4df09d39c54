"""The activations in what a module of a model returns, as extraction takes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from actstore import errors

__all__ = ["activations_in", "with_activations"]


def activations_in(output: object, *, site: str, width: int) -> Tensor:
    """Return the activations [batch, tokens, D] in an output: itself, or the first tensor of a tuple or `ModelOutput`.

    Raises
    ------
    SiteError
        If there is no vector of D features for each token.
    """
    first = output
    if isinstance(output, Mapping):
        first = next(iter(output.values()), None)
    elif isinstance(output, (tuple, list)):
        first = output[0] if output else None
    if not isinstance(first, Tensor) or first.ndim != 3 or first.shape[2] != width:
        found = f"a tensor of shape {list(first.shape)}" if isinstance(first, Tensor) else type(first).__name__
        raise errors.SiteError(
            f"{site}: the module returns {found}; this dictionary reads [batch, tokens, {width}]; "
            "give the model whose activations it was trained on, or another module with 'modules'"
        )
    return first


def with_activations(output: Any, values_BTD: Tensor) -> Any:  # noqa: ANN401 - whatever a module returns
    """Return a copy of an output with other activations in their place."""
    if isinstance(output, Mapping):
        changed: Any = copy.copy(output)
        changed[next(iter(output))] = values_BTD
        return changed
    if isinstance(output, (tuple, list)):
        parts = (values_BTD, *output[1:])
        return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
    return values_BTD
