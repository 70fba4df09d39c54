"""The loops that people write around a model to keep its hidden states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from benchmarks.data.proteins import Proteins

__all__ = ["LOOP_TOKENS", "by_length", "in_file_order", "run_fair_esm_loop", "run_naive_loop"]

FIXED_BATCH: Final = 8
LOOP_TOKENS: Final = 4096
"""Of a batch in fair-esm's `extract.py`."""
States = Callable[[Proteins], Sequence[Tensor]]
"""The hidden states of all layers, on the host, of a batch of proteins."""


def in_file_order(proteins: Proteins) -> Iterator[Proteins]:
    """Yield batches of eight proteins."""
    for start in range(0, len(proteins), FIXED_BATCH):
        yield proteins[start : start + FIXED_BATCH]


def by_length(proteins: Proteins) -> Iterator[Proteins]:
    """Yield batches of at most 4,096 tokens, the shortest proteins first."""
    batch: Proteins = []
    for protein in sorted(proteins, key=lambda each: len(each[1])):
        if batch and (len(batch) + 1) * (len(protein[1]) + 2) > LOOP_TOKENS:
            yield batch
            batch = []
        batch.append(protein)
    yield batch


def run_naive_loop(states: States, proteins: Proteins, folder: Path) -> None:
    """Save all states of each batch, padding included."""
    for number, batch in enumerate(in_file_order(proteins)):
        torch.save(states(batch), folder / f"{number}.pt")


def run_fair_esm_loop(states: States, proteins: Proteins, folder: Path, *, prefix: int = 1) -> None:
    """Save a file for each protein, without its padding and the `prefix` tokens before it."""
    for batch in by_length(proteins):
        found = states(batch)
        for row, (name, residues) in enumerate(batch):
            kept = {layer: state[row, prefix : len(residues) + prefix].clone() for layer, state in enumerate(found)}
            torch.save({"label": name, "representations": kept}, folder / f"{name}.pt")
