"""Several proteins in one row, kept apart by a block-diagonal mask: the way that extraction does not go.

It spares padding, and pays with a mask of T x T numbers for every row and with attention over whole rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from actstore.contracts.models import ResidueTokenizer

__all__ = ["PackedRows", "pack", "run_packed"]


class PackedRows(NamedTuple):
    """Inputs of one forward pass, and where its proteins lie."""

    tokens: Tensor
    """int64 [R, T]."""
    present: Tensor
    """int64 [R, T], 0 for padding."""
    positions: Tensor
    """int64 [R, T], from 0 in each protein."""
    mask: Tensor
    """float32 [R, 1, T, T], 0 within a protein and the least number elsewhere."""
    row_B: list[int]
    start_B: list[int]


def pack(residues: Sequence[str], tokenizer: ResidueTokenizer, *, row_tokens: int) -> PackedRows:
    """Put proteins, the longest first, each into the first row that has room."""
    lengths = [len(each) + tokenizer.special_tokens for each in residues]
    width = max(row_tokens, *lengths)
    used: list[int] = []
    row_B, start_B = [0] * len(residues), [0] * len(residues)
    for index in sorted(range(len(residues)), key=lambda index: -lengths[index]):
        row = next((row for row, taken in enumerate(used) if taken + lengths[index] <= width), len(used))
        if row == len(used):
            used.append(0)
        row_B[index], start_B[index] = row, used[row]
        used[row] += lengths[index]
    shape = (len(used), max(used))
    tokens_RT = np.full(shape, tokenizer.pad, dtype=np.int64)
    protein_RT = np.full(shape, -1, dtype=np.int64)
    position_RT: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
    for index, text in enumerate(residues):
        place = (row_B[index], slice(start_B[index], start_B[index] + lengths[index]))
        tokens_RT[place] = (*tokenizer.prefix, *tokenizer.tokens(text), *tokenizer.suffix)
        protein_RT[place] = index
        position_RT[place] = np.arange(lengths[index])
    protein = torch.from_numpy(protein_RT)
    apart = protein[:, None, :, None] != protein[:, None, None, :]
    mask = torch.zeros(apart.shape).masked_fill_(apart, torch.finfo(torch.float32).min)
    return PackedRows(
        torch.from_numpy(tokens_RT), (protein >= 0).long(), torch.from_numpy(position_RT), mask, row_B, start_B
    )


def run_packed(network: PreTrainedModel, rows: PackedRows) -> Tensor:
    """Return the last hidden states of an `EsmModel`, [R, T, D]."""
    with torch.inference_mode():
        # Token dropout wants to know what is padding, for which the mask of attention has the wrong shape.
        embed = network.get_submodule("embeddings")
        embedded = embed(input_ids=rows.tokens, attention_mask=rows.present, position_ids=rows.positions)
        states: Tensor = network(
            inputs_embeds=embedded, attention_mask=rows.mask, position_ids=rows.positions
        ).last_hidden_state
    return states
