"""Some sequences of a store or a merge, found by their ids, as the corpus of another store."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.contracts.hashing import UInt64s, hash_text
from actstore.contracts.progress import Progress
from actstore.contracts.sequences import SequenceTable
from actstore.errors import UsageError
from actstore.store.browse.all_proteins import FindsProteins
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import MergedObjects, Source
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.sequences import StoredSequences

__all__ = ["ChosenSequences", "choose_sequences"]

_SHOWN: Final = 3


@dataclass(frozen=True, eq=False)
class ChosenSequences:
    """N sequences of a store or a merge, in its order; a `contracts.sequences.SequenceCollection`."""

    proteins: FindsProteins
    number_N: NDArray[np.int64]
    """The number of each sequence in the source, ascending."""
    table: SequenceTable
    """Hashed ids, lengths, splits and clusters, as the source has them."""
    recorded_sequences: tuple[str, ...]
    """The place of the source."""

    def __len__(self) -> int:
        return len(self.number_N)

    @property
    def id_hash_N(self) -> UInt64s:
        """`hash_text` of each id."""
        return self.table.id_hash_N

    @property
    def length_N(self) -> NDArray[np.int32]:
        """Residues of each sequence."""
        return self.table.length_N

    @property
    def skipped(self) -> Mapping[str, int]:
        """Nothing: every sequence that was asked for is here."""
        return {}

    @property
    def total_residues(self) -> int:
        """Residues of all sequences together."""
        return int(self.length_N.sum(dtype=np.int64))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over ``id + NUL + residues + LF`` of each sequence in order, in UTF-8."""
        digest = hashlib.sha256()
        for number in self.number_N.tolist():
            _, name, residues = self.proteins.find(number)
            digest.update(f"{name}\0{residues}\n".encode())
        return digest.hexdigest()

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence."""
        return self.proteins.find(int(self.number_N[sequence]))[1]

    def residues(self, sequence: int) -> str:
        """Return the residues of one sequence."""
        return self.proteins.find(int(self.number_N[sequence]))[2]


def choose_sequences(
    objects: Source,
    manifest: Manifest,
    ids: Sequence[str],
    *,
    splits: Collection[str],
    proteins: FindsProteins,
    progress: Progress,
) -> ChosenSequences:
    """Find sequences by their ids; the ids of the whole source are read once.

    Parameters
    ----------
    objects, manifest
        A complete store, a part of one, or a merge whose stores have the same splits.
    ids
        Ids as the source has them; ids that come twice count once.
    splits
        Only sequences of these splits are chosen.
    proteins
        Of the same source.
    progress
        Where to report.

    Raises
    ------
    UsageError
        If an id is not in the source; if none of the sequences is in these splits; or if the source is a part that
        lacks rows of one of them.
    MissingObjectError, CorruptObjectError
        If the sequences are lost or damaged.
    """
    found = _named(_find(objects, manifest, ids, progress), ids, proteins, uri=objects.uri)
    codes = [code for code, name in enumerate(found.table.splits) if name in splits]
    here = np.flatnonzero(np.isin(found.table.split_N, codes))
    if not len(here):
        raise UsageError(
            f"{objects.uri}: none of the {len(found.number_N):,} sequences is in {', '.join(splits)}; nothing is copied"
        )
    chosen = ChosenSequences(proteins, found.number_N[here], found.table.take(here), (objects.uri,))
    if any(one.part is not None and one.part.tasks is not None for one in _recipes(manifest)):
        _refuse_cut(chosen, manifest, found.rows_N[here], uri=objects.uri)
    return chosen


class _Found(NamedTuple):
    """Sequences whose ids have the hashes that were asked for."""

    number_N: NDArray[np.int64]
    table: SequenceTable
    rows_N: NDArray[np.int32]
    """Rows in the whole store."""


def _find(objects: Source, manifest: Manifest, ids: Sequence[str], progress: Progress) -> _Found:
    """Read the ids of all sequences, and keep what has the hash of an asked id."""
    asked = np.unique(np.fromiter(map(hash_text, ids), dtype=np.uint64, count=len(ids)))
    stores = list(_stores(objects, manifest))
    total = sum(frozen.corpus.sequences for _, frozen in stores)
    numbers: list[NDArray[np.int64]] = []
    tables: list[SequenceTable] = []
    rows: list[NDArray[np.int32]] = []
    start = 0
    with progress.stage("finding sequences", total=total, unit="sequences") as stage:
        for store, frozen in stores:
            with StoredSequences(store) as sequences:
                for part, rows_N in sequences.parts(frozen.split_names):
                    slot_N = np.minimum(np.searchsorted(asked, part.id_hash_N), len(asked) - 1)
                    here = np.flatnonzero(asked[slot_N] == part.id_hash_N)
                    numbers.append(start + here)
                    tables.append(part.take(here))
                    rows.append(rows_N[here])
                    start += len(part)
                    stage.advance(len(part))
    clusters = [table.cluster_N for table in tables if table.cluster_N is not None]
    table = SequenceTable(
        np.concatenate([one.id_hash_N for one in tables]),
        np.concatenate([one.length_N for one in tables]),
        np.concatenate([one.split_N for one in tables]),
        tables[0].splits,
        np.concatenate(clusters) if clusters else None,
    )
    return _Found(np.concatenate(numbers), table, np.concatenate(rows))


def _named(found: _Found, ids: Sequence[str], proteins: FindsProteins, *, uri: str) -> _Found:
    """Compare the ids themselves, since two may have one hash."""
    wanted = dict.fromkeys(ids)
    names = [proteins.find(number)[1] for number in found.number_N.tolist()]
    there = set(names)
    if missing := [name for name in wanted if name not in there]:
        shown = ", ".join(repr(printable(name, most=80)) for name in missing[:_SHOWN])
        raise UsageError(
            f"{uri} lacks {len(missing):,} of {len(wanted):,} sequences, such as {shown}; ids are as in its FASTA or "
            f"Parquet file, such as {proteins.find(0)[1]!r}; nothing is copied"
        )
    here = np.flatnonzero(np.fromiter((name in wanted for name in names), dtype=np.bool_, count=len(names)))
    if len(here) > len(wanted):
        raise UsageError(f"{uri}: stores of the merge have ids in common, which name files; copy from each of them")
    return _Found(found.number_N[here], found.table.take(here), found.rows_N[here])


def _refuse_cut(chosen: ChosenSequences, manifest: Manifest, rows_N: NDArray[np.int32], *, uri: str) -> None:
    """Refuse sequences of which a part of a store lacks rows."""
    task_rows, here = manifest.frozen.layout.task_rows, manifest.tasks
    cut = []
    for number, rows in zip(chosen.number_N.tolist(), rows_N.tolist(), strict=True):
        row_N = chosen.proteins.rows(number).row_N
        if int(np.isin(row_N // task_rows, here).sum()) < rows:
            cut.append(number)
    if cut:
        shown = ", ".join(repr(chosen.proteins.find(number)[1]) for number in cut[:_SHOWN])
        raise UsageError(
            f"{uri} is a part of a store and lacks rows of {len(cut):,} of {len(chosen):,} sequences, such as {shown}; "
            "copy from the whole store; nothing is copied"
        )


def _stores(objects: Source, manifest: Manifest) -> Iterator[tuple[ObjectStore, FrozenRecipe]]:
    if isinstance(objects, MergedObjects):
        yield from zip(objects.members, _recipes(manifest), strict=True)
    else:
        yield objects, manifest.frozen


def _recipes(manifest: Manifest) -> list[FrozenRecipe]:
    return [one.frozen for one in manifest.members or (manifest,)]
