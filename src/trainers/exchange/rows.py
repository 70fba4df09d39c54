"""Raw rows in, results of the same kind out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actstore import errors
from trainers.exchange.facts import RowTransform

__all__ = ["RawRows", "RowStatistics", "Values", "like", "raw_rows", "row_statistics", "tensor_of"]

Values = TypeVar("Values", Tensor, NDArray[np.floating])

_ZSCORE_EPSILON: Final = 1e-5


class RawRows(NamedTuple):
    """Rows as a caller gave them, ready for arithmetic."""

    values_BSD: Tensor
    """In the number format and on the device of the dictionary."""
    shape: tuple[int, ...]
    """As they were given."""


class RowStatistics(NamedTuple):
    """What a transform of rows takes from each row: ``x = shift + scale * transformed``."""

    shift_BS1: Tensor
    scale_BS1: Tensor


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


def row_statistics(values_BSD: Tensor, transform: RowTransform) -> RowStatistics | None:
    """Return what `transform` takes from each row and site; None if it takes nothing.

    ``row-zscore`` subtracts the mean over the features and divides by their unbiased standard deviation plus 1e-5
    (the SAEs of ESMC); ``row-sqrt-d`` gives each row the norm sqrt(D) (InterPLM's `normalize_to_sqrt_d`).
    """
    if transform == "row-zscore":
        return RowStatistics(
            values_BSD.mean(dim=2, keepdim=True), values_BSD.std(dim=2, keepdim=True) + _ZSCORE_EPSILON
        )
    if transform == "row-sqrt-d":
        norm_BS1 = torch.linalg.vector_norm(values_BSD, dim=2, keepdim=True) / values_BSD.shape[2] ** 0.5
        return RowStatistics(torch.zeros_like(norm_BS1), norm_BS1.clamp_min(torch.finfo(norm_BS1.dtype).tiny))
    return None


def _called(values: object) -> str:
    return "None" if values is None else f"this {type(values).__name__}"
