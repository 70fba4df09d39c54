"""Residues -> the input arrays of one forward pass: a row for each sequence, or several sequences in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import ResidueTokenizer
from actstore.corpus.batches import ROW_STEP, pack_rows
from actstore.errors import TokenizerError

__all__ = ["Inputs", "packed", "padded"]


class Inputs(NamedTuple):
    """Tokens of B sequences in R rows of T tokens."""

    tokens_RT: NDArray[np.int64]
    present_RT: NDArray[np.int64]
    """0 for padding."""
    first_B: NDArray[np.int64]
    """Index of the first residue of each sequence among all R * T tokens."""
    sequence_RT: NDArray[np.int32] | None = None
    """Sequence of each token, -1 for padding; None if every sequence has its own row."""
    position_RT: NDArray[np.int64] | None = None
    """Positions, from 0 in each sequence; None as above."""


def padded(residues: Sequence[str], tokenizer: ResidueTokenizer) -> Inputs:
    """Give every sequence a row, padded on the right.

    Raises
    ------
    TokenizerError
        If a letter is outside the alphabet.
    """
    tokens = [_checked_tokens(each, tokenizer) for each in residues]
    shape = (len(tokens), max(map(len, tokens)))
    tokens_RT = np.full(shape, tokenizer.pad, dtype=np.int64)
    present_RT = np.zeros(shape, dtype=np.int64)
    for row, token_L in enumerate(tokens):
        tokens_RT[row, : len(token_L)] = token_L
        present_RT[row, : len(token_L)] = 1
    return Inputs(tokens_RT, present_RT, np.arange(len(tokens)) * shape[1] + len(tokenizer.prefix))


def packed(residues: Sequence[str], tokenizer: ResidueTokenizer, *, row_tokens: int) -> Inputs:
    """Put sequences into rows of one length, the longest first, each into the first row with room.

    Rows have `row_tokens` tokens, or a smaller multiple of `ROW_STEP` if that is enough, or the tokens of a longer
    sequence. So there are few shapes, and a device prepares its kernels for each shape once. A single sequence needs no
    mask and no padding.

    Raises
    ------
    TokenizerError
        If a letter is outside the alphabet.
    """
    if len(residues) == 1:
        return padded(residues, tokenizer)
    tokens = [_checked_tokens(each, tokenizer) for each in residues]
    lengths = [len(token_L) for token_L in tokens]
    row_B, start_B = pack_rows(lengths, row_tokens=max(row_tokens, *lengths))
    used = int((start_B + lengths).max())
    width = used if used > row_tokens else min(-(-used // ROW_STEP) * ROW_STEP, row_tokens)
    shape = (int(row_B.max()) + 1, width)
    tokens_RT = np.full(shape, tokenizer.pad, dtype=np.int64)
    sequence_RT = np.full(shape, -1, dtype=np.int32)
    position_RT: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
    for index, (row, start) in enumerate(zip(row_B, start_B, strict=True)):
        place = (row, slice(start, start + lengths[index]))
        tokens_RT[place] = tokens[index]
        sequence_RT[place] = index
        position_RT[place] = np.arange(lengths[index])
    first_B = row_B * width + start_B + len(tokenizer.prefix)
    return Inputs(tokens_RT, (sequence_RT >= 0).astype(np.int64), first_B, sequence_RT, position_RT)


def _checked_tokens(residues: str, tokenizer: ResidueTokenizer) -> NDArray[np.int64]:
    """Return the tokens of a sequence between the special ones."""
    token_L = tokenizer.tokens(residues)
    foreign = np.flatnonzero(token_L < 0)
    if foreign.size:
        raise TokenizerError(
            f"residue {foreign[0] + 1} is {residues[foreign[0]]!r}, which is not in the model's alphabet "
            f"({''.join(sorted(tokenizer.alphabet))})"
        )
    return np.concatenate([tokenizer.prefix, token_L, tokenizer.suffix]).astype(np.int64)
