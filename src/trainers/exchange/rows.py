"""Raw rows in, results of the same kind out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore import errors

__all__ = ["RawRows", "Values", "like", "raw_rows", "tensor_of"]

Values = TypeVar("Values", Tensor, NDArray[np.floating])


class RawRows(NamedTuple):
    """Rows as a caller gave them, ready for arithmetic."""

    values_BSD: Tensor
    """In the number format and on the device of the dictionary."""
    shape: tuple[int, ...]
    """As they were given."""


def raw_rows(values: Tensor | NDArray[np.floating], sites: Sequence[str], width: int, *, like: Tensor) -> RawRows:
    """Check rows and bring them to the number format and device of `like`; gradients flow through.

    Parameters
    ----------
    values
        ``[B, S, D]``, or ``[B, D]`` for one site.
    sites, width
        The sites S and features D that are wanted.

    Raises
    ------
    UsageError
        If they have another shape, or are not floating-point numbers.
    NumericsError
        If they hold NaN or Inf.
    """
    given = tensor_of(values, what="rows", wanted=f"a tensor or a NumPy array [rows, {len(sites)}, {width}]")
    if not given.is_floating_point():
        raise errors.UsageError(f"rows are floating-point numbers, not {given.dtype}")
    shape = tuple(given.shape)
    wanted = (len(sites), width)
    if shape[1:] != wanted and not (len(sites) == 1 and shape[1:] == (width,)):
        raise errors.UsageError(
            f"rows of shape {list(shape)}; this dictionary reads [rows, {len(sites)}, {width}]"
            f"{f' or [rows, {width}]' if len(sites) == 1 else ''}: {', '.join(sites)}"
        )
    values_BSD = given.to(device=like.device, dtype=like.dtype).reshape(-1, *wanted)
    if not bool(torch.isfinite(values_BSD).all()):
        raise errors.NumericsError(f"the rows hold NaN or Inf, or numbers beyond {like.dtype}")
    return RawRows(values_BSD, shape)


def tensor_of(values: object, *, what: str, wanted: str) -> Tensor:
    """Return an array or nested lists as a tensor; a tensor as it is.

    Parameters
    ----------
    what, wanted
        What they are, and what to give, for the error.

    Raises
    ------
    UsageError
        If they are no numbers, or lists of different lengths.
    """
    if isinstance(values, Tensor):
        return values
    try:
        return torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError, RuntimeError):  # of NumPy and of torch
        raise errors.UsageError(f"{what}: {_called(values)} cannot be read as numbers; give {wanted}") from None


def like(result: Tensor, values: Values) -> Values:
    """Return a result as a tensor or a NumPy array, as the values were; a tensor on the device of the dictionary."""
    if isinstance(values, Tensor):
        return result
    found = result.detach().cpu()
    return found.float().numpy() if found.dtype == torch.bfloat16 else found.numpy()


def _called(values: object) -> str:
    return "None" if values is None else f"this {type(values).__name__}"
