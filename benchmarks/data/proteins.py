"""Natural proteins for those who time what is done to them."""

from __future__ import annotations

import random
from typing import Final

import fsspec

__all__ = ["MOST_RESIDUES", "Proteins", "read_proteins"]

MOST_RESIDUES: Final = 1022
"""Longer proteins would be cut differently by different loops."""
Proteins = list[tuple[str, str]]


def read_proteins(path: str, count: int, *, seed: int = 0) -> Proteins:
    """Return some proteins of a FASTA file that every loop sees whole, in random order."""
    with fsspec.open(path, "rt", compression="infer") as file:
        records = file.read().split(">")[1:]
    proteins: Proteins = []
    for record in records:
        head, _, residues = record.partition("\n")
        proteins.append((head.split()[0].replace("/", "_"), residues.replace("\n", "")))
    fitting = [each for each in proteins if len(each[1]) <= MOST_RESIDUES]
    random.Random(seed).shuffle(fitting)  # noqa: S311 - no secret
    return fitting[:count]
