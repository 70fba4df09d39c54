"""Synthetic protein families with planted motifs, and the ground truth about both.

A family descends from one ancestor: residues drawn from the Swiss-Prot background, a natural length, planted motifs
that do not overlap. A member is the ancestor after substitutions by BLOSUM62 probabilities, faster at some sites than
at others, and after insertions and deletions. Inside a motif a residue changes only into another one
that the pattern allows, so every member keeps every motif. The seed, `i` and `j` alone decide member `j` of family `i`.

Axes: R residues of a protein, A the twenty letters of `residues.RESIDUES`.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from actstore.errors import UsageError
from actstore.testing.motifs import MOTIFS, Feature
from actstore.testing.residues import BACKGROUND_A, RESIDUES, SUBSTITUTION_AA, draw_residues, residue_text

__all__ = [
    "FamilyShape",
    "Feature",
    "SyntheticFiles",
    "SyntheticProtein",
    "synthetic_proteins",
    "write_clusters",
    "write_fasta",
    "write_synthetic_corpus",
    "write_truth",
]

_FASTA_COLUMNS: Final = 60


@dataclass(frozen=True, slots=True)
class SyntheticProtein:
    """A protein with its family and planted motifs."""

    id: str
    sequence: str
    family: int
    features: tuple[Feature, ...]
    """The planted motifs by start. Short motifs also occur by chance: `motifs.find_motifs` lists all occurrences."""


@dataclass(frozen=True, slots=True)
class FamilyShape:
    """Shape of the families. With the defaults two members have six of ten residues in common."""

    median_residues: int = 300
    log_deviation: float = 0.6
    """Standard deviation of the natural logarithm of the length; the mean is then 1.2 medians, as in Swiss-Prot."""
    min_residues: int = 60
    max_residues: int = 1000
    """Lengths of ancestors are clipped to these bounds, and no member leaves them."""
    motifs: int = 3
    """Largest number of planted motifs of a family; it has at least one, or fewer if they do not fit. 0 for none."""
    divergence: float = 0.3
    """Substitutions per residue between ancestor and member, averaged over sites."""
    indels: float = 0.01
    """Insertions and deletions per residue between ancestor and member, each of 2.5 residues on average."""

    def __post_init__(self) -> None:
        """Refuse impossible shapes.

        Raises
        ------
        UsageError
            If bounds are out of order or a rate is negative.
        """
        if not 1 <= self.min_residues <= self.median_residues <= self.max_residues:
            raise UsageError(
                f"family shape: residues {self.min_residues} (min), {self.median_residues} (median), "
                f"{self.max_residues} (max); wanted 1 <= min <= median <= max"
            )
        if min(self.log_deviation, self.motifs, self.divergence, self.indels) < 0:
            raise UsageError(f"family shape: log_deviation, motifs, divergence and indels must not be negative: {self}")


class SyntheticFiles(NamedTuple):
    """Where `write_synthetic_corpus` wrote."""

    fasta: Path
    clusters: Path
    truth: Path


@dataclass(frozen=True, slots=True, eq=False)
class _Ancestor:
    residues_R: NDArray[np.int64]
    allowed_RA: NDArray[np.bool_]
    """What each site may change into."""
    rate_R: NDArray[np.float64]
    """How fast each site changes, 1 on average."""
    features: tuple[Feature, ...]


def synthetic_proteins(
    *, families: int = 100, members: int = 30, seed: int = 0, shape: FamilyShape | None = None
) -> Iterator[SyntheticProtein]:
    """Generate protein families, one after the other.

    Parameters
    ----------
    families, members
        Number of families, and of members of each; a larger number does not change the others.
    seed
        Non-negative.
    shape
        Lengths, motifs and divergence; None for `FamilyShape()`.

    Examples
    --------
    >>> [protein.id for protein in synthetic_proteins(families=2, members=2)]
    ['F00000M0000', 'F00000M0001', 'F00001M0000', 'F00001M0001']
    """
    shape = FamilyShape() if shape is None else shape
    for family in range(families):
        ancestor = _ancestor(np.random.default_rng([seed, family]), shape)
        for member in range(members):
            # The spawn key keeps members apart from families: [seed, family, 0] alone would equal [seed, family].
            stream = np.random.SeedSequence([seed, family], spawn_key=(member,))
            residues_R, features = _descend(np.random.default_rng(stream), ancestor, shape)
            yield SyntheticProtein(f"F{family:05d}M{member:04d}", residue_text(residues_R), family, features)


def _ancestor(rng: np.random.Generator, shape: FamilyShape) -> _Ancestor:
    natural_length = shape.median_residues * np.exp(shape.log_deviation * rng.standard_normal())
    length = int(np.clip(round(natural_length), shape.min_residues, shape.max_residues))
    allowed_RA = np.ones((length, len(RESIDUES)), dtype=np.bool_)
    allowed_RA[0] = [residue == "M" for residue in RESIDUES]
    features = _plant(rng, allowed_RA, shape.motifs)
    return _Ancestor(
        residues_R=draw_residues(rng, BACKGROUND_A * allowed_RA),
        allowed_RA=allowed_RA,
        rate_R=rng.exponential(size=length),
        features=features,
    )


def _plant(rng: np.random.Generator, allowed_RA: NDArray[np.bool_], most: int) -> tuple[Feature, ...]:
    """Restrict the allowed residues at random places after the first residue to motifs that do not overlap."""
    count = int(rng.integers(1, most + 1)) if most else 0
    chosen = [list(MOTIFS)[index] for index in rng.integers(len(MOTIFS), size=count)]
    windows = [MOTIFS[name].draw_allowed(rng) for name in chosen]
    while sum(map(len, windows)) > len(allowed_RA) - 1:
        windows.pop()
    # Motifs in order share the free residues as gaps: sorted draws are the free residues to the left of each.
    free = len(allowed_RA) - 1 - sum(map(len, windows))
    features = []
    taken = 1
    for name, window_RA, gap in zip(chosen, windows, np.sort(rng.integers(free + 1, size=len(windows))), strict=False):
        start = int(gap) + taken
        allowed_RA[start : start + len(window_RA)] = window_RA
        features.append(Feature(name, start, start + len(window_RA)))
        taken += len(window_RA)
    return tuple(features)


def _descend(
    rng: np.random.Generator, ancestor: _Ancestor, shape: FamilyShape
) -> tuple[NDArray[np.int64], tuple[Feature, ...]]:
    residues_R = ancestor.residues_R.copy()
    weights_RA = SUBSTITUTION_AA[residues_R] * ancestor.allowed_RA
    changes_R = rng.random(len(residues_R)) < 1 - np.exp(-shape.divergence * ancestor.rate_R)
    changes_R &= weights_RA.any(axis=1)
    residues_R[changes_R] = draw_residues(rng, weights_RA[changes_R])

    kept_R, inserted_R = _draw_indels(rng, ancestor, shape.indels)
    if not shape.min_residues <= kept_R.sum() + inserted_R.sum() <= shape.max_residues:
        return residues_R, ancestor.features
    # Each site gives its insertion, then itself unless it was deleted.
    stop_R = np.cumsum(inserted_R + kept_R)
    member_R = draw_residues(rng, np.broadcast_to(BACKGROUND_A, (int(stop_R[-1]), len(RESIDUES))))
    member_R[stop_R[kept_R] - 1] = residues_R[kept_R]
    moved = (
        Feature(feature.motif, int(stop_R[feature.start]) - 1, int(stop_R[feature.stop - 1]))
        for feature in ancestor.features
    )
    return member_R, tuple(moved)


def _draw_indels(
    rng: np.random.Generator, ancestor: _Ancestor, rate: float
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which sites are kept, and how many residues are inserted before each; motifs stay in one piece."""
    sites = len(ancestor.residues_R)
    kept_R = np.ones(sites, dtype=np.bool_)
    inserted_R = np.zeros(sites, dtype=np.int64)
    events = int(rng.poisson(rate * sites))
    places = rng.integers(sites, size=events)
    residues = rng.geometric(0.4, size=events)
    for place, count, insertion in zip(places, residues, rng.random(events) < 0.5, strict=True):
        if insertion:
            inserted_R[place] += count
        else:
            kept_R[place : place + count] = False
    kept_R[0], inserted_R[0] = True, 0
    for feature in ancestor.features:
        kept_R[feature.start : feature.stop] = True
        inserted_R[feature.start + 1 : feature.stop] = 0
    return kept_R, inserted_R


def write_synthetic_corpus(folder: Path, proteins: Iterable[SyntheticProtein]) -> SyntheticFiles:
    """Write ``proteins.fasta.gz``, ``clusters.tsv`` and ``truth.tsv``; the same proteins give the same bytes.

    Parameters
    ----------
    folder
        Created if it does not exist.
    proteins
        From `synthetic_proteins`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = SyntheticFiles(folder / "proteins.fasta.gz", folder / "clusters.tsv", folder / "truth.tsv")
    proteins = list(proteins)
    write_fasta(files.fasta, proteins)
    write_clusters(files.clusters, proteins)
    write_truth(files.truth, proteins)
    return files


def write_fasta(path: Path, proteins: Iterable[SyntheticProtein]) -> None:
    """Write FASTA, through gzip if the name ends in ``.gz``."""
    with _open_text(path) as file:
        for protein in proteins:
            file.write(f">{protein.id} family={protein.family}\n")
            for start in range(0, len(protein.sequence), _FASTA_COLUMNS):
                file.write(f"{protein.sequence[start : start + _FASTA_COLUMNS]}\n")


def write_clusters(path: Path, proteins: Iterable[SyntheticProtein]) -> None:
    """Write families like MMseqs2 clusters, ``representative<TAB>member``; the first member is the representative."""
    representatives: dict[int, str] = {}
    with _open_text(path) as file:
        for protein in proteins:
            file.write(f"{representatives.setdefault(protein.family, protein.id)}\t{protein.id}\n")


def write_truth(path: Path, proteins: Iterable[SyntheticProtein]) -> None:
    """Write one line for each planted motif: id, motif, PROSITE accession, 0-based start, exclusive stop."""
    with _open_text(path) as file:
        file.write("id\tmotif\taccession\tstart\tstop\n")
        for protein in proteins:
            for feature in protein.features:
                accession = MOTIFS[feature.motif].accession
                file.write(f"{protein.id}\t{feature.motif}\t{accession}\t{feature.start}\t{feature.stop}\n")


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    if path.suffix != ".gz":
        with path.open("w", encoding="ascii", newline="\n") as file:
            yield file
        return
    with (
        path.open("wb") as raw,
        # Without name and time in its header, a gzip file depends only on its content.
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="ascii", newline="\n") as file,
    ):
        yield file
