"""The proteins of a store in numbers: lengths, and how often each residue occurs."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from actstore.access.objects import ObjectStore
from actstore.contracts.progress import Progress
from actstore.store.write.sequences import GROUP_SEQUENCES, StoredSequences

__all__ = ["ProteinSample", "read_proteins"]

MOST_GROUPS: Final = 256
"""Row groups that are read: 262,144 proteins. A split holds its proteins in random order, so they are a fair sample."""
_LENGTH_BINS: Final = 40


class ProteinSample(NamedTuple):
    """Some or all proteins of a store."""

    proteins: int
    """How many were looked at."""
    example: str
    """Id of the first one."""
    mean_length: float
    length_quantiles: tuple[int, int, int, int, int]
    """Shortest, 5 %, 50 %, 95 % and longest, each the length of a protein."""
    length_edges: tuple[float, ...]
    """Edges of bins, with equal ratios."""
    length_counts: tuple[int, ...]
    residues: dict[str, int]
    """Number of each letter, most frequent first."""


def read_proteins(objects: ObjectStore, *, progress: Progress) -> ProteinSample:
    """Read at most `MOST_GROUPS` row groups of `sequences.parquet`, at even distances.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        If it is lost or damaged.
    """
    with StoredSequences(objects) as sequences:
        groups = -(-len(sequences) // GROUP_SEQUENCES)
        chosen = np.unique(np.linspace(0, groups - 1, min(groups, MOST_GROUPS)).round()).astype(int).tolist()
        lengths, letters = [], np.zeros(256, dtype=np.int64)
        with progress.stage("proteins", total=len(chosen), unit="groups") as stage:
            for number in chosen:
                group = sequences.group(number)
                lengths.append(group.length_N)
                letters += np.bincount(np.frombuffer("".join(group.residues).encode(), dtype=np.uint8), minlength=256)
                stage.advance(1)
        example = sequences.sequence_id(0)
    length_N = np.concatenate(lengths)
    # Edges between whole numbers, so that each length lies inside of one bin.
    edges = np.geomspace(max(int(length_N.min()), 1) - 0.5, int(length_N.max()) + 0.5, _LENGTH_BINS + 1)
    order = np.argsort(-letters, kind="stable")
    quantiles = np.quantile(length_N, [0, 0.05, 0.5, 0.95, 1], method="nearest").tolist()
    return ProteinSample(
        proteins=len(length_N),
        example=example,
        mean_length=float(length_N.mean()),
        length_quantiles=tuple(quantiles),
        length_edges=tuple(edges.tolist()),
        length_counts=tuple(np.histogram(length_N, bins=edges)[0].tolist()),
        residues={chr(code): int(letters[code]) for code in order.tolist() if letters[code]},
    )
