"""Named tensors of one file -> a part: which are sites, which are sequences, and which say something of the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.errors import SourceError
from actstore.intake.parts import ACTIVATIONS, Boundaries, Concatenated, Keys, Part, RowArray, masked

__all__ = ["Tensor", "concatenated", "part_of_tensors", "site_name"]

_TOKENS: Final = ("token_ids", "input_ids", "tokens")
_MASKS: Final = ("attention_mask", "pad_mask", "mask")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")


class Tensor(RowArray, Protocol):
    """An array of any number of axes in a file; as a `RowArray`, its last axis is the features."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """All axes."""
        ...

    @property
    def is_float(self) -> bool:
        """Whether it can be activations."""
        ...

    def read_numbers(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return some whole numbers, counted over all axes."""
        ...


def site_name(text: str) -> str:
    """Return a name in a file as the name of a site.

    Examples
    --------
    >>> site_name("blocks.0.hook_resid_post"), site_name("layer 3/out")
    ('blocks.0.hook_resid_post', 'layer_3_out')
    """
    return _UNSAFE.sub("_", text).lstrip(".-")[:100] or ACTIVATIONS


def part_of_tensors(
    name: str, tensors: Mapping[str, Tensor], *, keys: Keys, ids: Sequence[str] | None = None
) -> tuple[Part, str]:
    """Return the part of one file, and how its names were taken.

    Float tensors `[N, D]` or `[B, T, D]` are activations. If they have the same rows, their names are those of sites;
    otherwise, those of sequences. Whole numbers named `token_ids`, `input_ids` or `tokens` are the tokens of the rows;
    one named `attention_mask`, `pad_mask` or `mask` says where a `[B, T, D]` has residues.

    Parameters
    ----------
    name
        Of the file.
    tensors
        By their names; "" for the only one of a file without names.
    keys
        What the names are, if the user says it.
    ids
        Of the B sequences, if the file says them.

    Raises
    ------
    SourceError
        If there are no activations, or their shapes do not fit together.
    """
    floats = {key: tensor for key, tensor in tensors.items() if tensor.is_float and len(tensor.full_shape) in {2, 3}}
    if not floats or any(0 in tensor.full_shape for tensor in floats.values()):
        found = ", ".join(f"{printable(key, most=40)} {tensor.full_shape}" for key, tensor in tensors.items())
        raise SourceError(f"{name}: no activations of shape [N, D] or [B, T, D] here: {found[:400] or 'it is empty'}")
    leading = {tensor.full_shape[:-1] for tensor in floats.values()}
    if keys == "ids" or (keys == "auto" and len(leading) > 1):
        return concatenated(name, floats), "the names of tensors are ids of sequences"
    if len(leading) > 1:
        raise SourceError(f"{name}: tensors of {len(leading)} numbers of rows cannot be sites of the same rows")
    shape = leading.pop()
    arrays = {site_name(key) if key else ACTIVATIONS: tensor for key, tensor in floats.items()}
    if len(arrays) != len(floats):
        raise SourceError(f"{name}: two tensors have the same name for a site: {', '.join(arrays)[:200]}")
    boundaries = None
    if len(shape) == 2:
        start_S = np.arange(shape[0], dtype=np.int64) * shape[1]
        length_S = np.full(shape[0], shape[1], dtype=np.int64)
        if (mask := _named(tensors, _MASKS, shape)) is not None:
            start_S, length_S = masked(mask.read_numbers(0, shape[0] * shape[1]).reshape(shape), name)
        boundaries = Boundaries(start_S, length_S, _checked_ids(name, ids, shape[0]))
    elif ids is not None:
        raise SourceError(f"{name}: ids of sequences, but rows of shape {shape}: nothing says which rows are whose")
    tokens = _named(tensors, _TOKENS, shape)
    said = f"the names of tensors are sites ({', '.join(arrays)[:200]})" if len(arrays) > 1 else ""
    return Part(name, arrays, boundaries, None if tokens is None else tokens.read_numbers), said


def concatenated(name: str, tensors: Mapping[str, Tensor]) -> Part:
    """Return a part whose sequences are tensors [L, D], by their names.

    Raises
    ------
    SourceError
        If one of them has another shape.
    """
    width = next(iter(tensors.values())).full_shape[-1]
    for key, tensor in tensors.items():
        if len(tensor.full_shape) != 2 or tensor.full_shape[1] != width:
            raise SourceError(
                f"{name}: {printable(key, most=80)} has shape {tensor.full_shape}, and a sequence here has [L, {width}]"
            )
    rows = Concatenated(list(tensors.values()))
    return Part(name, {ACTIVATIONS: rows}, Boundaries.of_lengths(rows.length_A, list(tensors)))


def _named(tensors: Mapping[str, Tensor], names: Sequence[str], shape: tuple[int, ...]) -> Tensor | None:
    """Return the whole numbers of a name, if there are some for every row."""
    fitting = (tensors[name] for name in names if name in tensors)
    return next((one for one in fitting if not one.is_float and one.full_shape == shape), None)


def _checked_ids(name: str, ids: Sequence[str] | None, sequences: int) -> Sequence[str] | None:
    if ids is not None and len(ids) != sequences:
        raise SourceError(f"{name}: {len(ids):,} ids for {sequences:,} sequences")
    return ids
