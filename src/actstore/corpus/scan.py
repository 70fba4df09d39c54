"""Sequence files -> corpus: lengths and hashes in memory, text on local disk, a digest of all of it."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import UInt64s, hash_text
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.recipe import CorpusRecipe
from actstore.contracts.sequences import RawRecord
from actstore.corpus.clean import Fault, clean_record
from actstore.corpus.duplicates import SeenHashes
from actstore.corpus.nucleotides import NucleotideWatch
from actstore.corpus.records import read_records
from actstore.corpus.sources import Source, expand_sources
from actstore.corpus.spool import FlatTexts
from actstore.errors import BadRecordError, CorpusError

__all__ = ["Corpus", "scan"]

_BATCH_RECORDS: Final = 4096
_BATCH_RESIDUES: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The N sequences that were kept, in the order of the files; a `contracts.ResidueSource`.

    Texts are in files without a name, which disappear with `close`. Each sequence takes 28 bytes of memory
    (20 without residues), independent of its length.
    """

    id_hash_N: UInt64s
    """`hash_text` of each id."""
    length_N: NDArray[np.int32]
    """Residues, after truncation if the recipe asks for it."""
    digest: str
    """SHA-256 (hex) over ``id + NUL + residues + LF`` of each sequence in order, in UTF-8."""
    records_read: int
    """Records in the files, whether kept or not."""
    skipped: dict[str, int]
    """Records left out, by reason: `too short` and `too long`, and the faults of `clean_record` where the recipe
    skips bad records."""
    recorded_sequences: tuple[str, ...]
    """The sequences of the recipe as a store records them: a pipe by the digest of what came through it."""
    _ids: FlatTexts
    _residues: FlatTexts | None

    def __len__(self) -> int:
        return len(self.length_N)

    @property
    def total_residues(self) -> int:
        """Residues of all sequences together."""
        return int(self.length_N.sum(dtype=np.int64))

    def residues(self, sequence: int) -> str:
        """Return the upper-case residues of one sequence.

        Raises
        ------
        CorpusError
            If the corpus was scanned without a spool directory.
        IndexError
            If there is no such sequence.
        """
        if self._residues is None:
            raise CorpusError("this corpus was scanned for lengths only; call scan with a spool directory for residues")
        return self._residues[sequence]

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence.

        Raises
        ------
        IndexError
            If there is no such sequence.
        """
        return self._ids[sequence]

    def close(self) -> None:
        """Delete the spooled texts; lengths and hashes stay."""
        self._ids.close()
        if self._residues is not None:
            self._residues.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def scan(
    recipe: CorpusRecipe,
    *,
    alphabet: frozenset[str],
    spool: Path | None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Corpus:
    """Read, clean and check all sequences once; log a warning for a file whose letters look like DNA.

    Parameters
    ----------
    recipe
        Names the files, and the treatment of bad, short and long records.
    alphabet
        Letters that the model knows.
    spool
        Local directory for the residues (one byte each); None keeps only lengths, which are enough to plan.
        Ids are spooled in both cases; with None, to the system's temporary directory.
    storage_options
        Passed to the file systems.
    progress
        Where to report; the stage is called "reading sequences".

    Returns
    -------
    Corpus
        Close it, or use it in a `with` statement.

    Raises
    ------
    CorpusFormatError
        If a file is not FASTA or Parquet, is truncated or damaged.
    BadRecordError
        At the first bad record, unless the recipe skips them.
    CorpusError
        If a file is missing, no record is left, or the spool directory is unusable.
    """
    reading = _Reading(expand_sources(recipe.sequences, storage_options=storage_options), recipe, alphabet)
    with ExitStack() as open_files:
        ids = open_files.enter_context(FlatTexts(spool))
        residues = None if spool is None else open_files.enter_context(FlatTexts(spool))
        writer, watch = _CorpusWriter(ids, residues), NucleotideWatch(alphabet)
        with (progress or Silent()).stage("reading sequences", total=None, unit="sequences") as stage:
            for batch in _batched(reading.entries()):
                repeated = writer.add(batch)
                reading.reject_repeated(repeated)
                for name, entries in groupby(batch, key=lambda entry: entry.record.source):
                    watch.count(name, (entry.residues for entry in entries))
                stage.advance(len(batch) - len(repeated))
        if not len(ids):
            raise reading.nothing_left()
        open_files.pop_all()
    watch.warn()
    return writer.finish(reading)


class _Entry(NamedTuple):
    record: RawRecord
    residues: str


@dataclass(slots=True)
class _Reading:
    """One pass over the files, with its counts."""

    sources: tuple[Source, ...]
    recipe: CorpusRecipe
    alphabet: frozenset[str]
    records_read: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def entries(self) -> Iterator[_Entry]:
        """Yield the usable records, repeated ids included, and count the others."""
        recipe = self.recipe
        longest = recipe.max_residues
        if recipe.long_sequences == "skip":
            longest = recipe.window_residues if longest is None else min(longest, recipe.window_residues)
        truncate_at = recipe.window_residues if recipe.long_sequences == "truncate" else None
        for source in self.sources:
            for record in read_records(source, recipe.format):
                self.records_read += 1
                cleaned = clean_record(record, self.alphabet)
                if isinstance(cleaned, Fault):
                    self._reject(record, cleaned)
                elif len(cleaned) < recipe.min_residues:
                    self.skipped["too short"] += 1
                elif longest is not None and len(cleaned) > longest:
                    self.skipped["too long"] += 1
                else:
                    yield _Entry(record, cleaned[:truncate_at])

    def recorded_sequences(self) -> tuple[str, ...]:
        recorded = {source.name: source.recorded_name for source in self.sources}
        return tuple(recorded.get(url, url) for url in self.recipe.sequences)

    def reject_repeated(self, repeated: Sequence[_Entry]) -> None:
        for record, _ in repeated:
            detail = f"the id {record.id[:80]!r} is a duplicate"
            if self.recipe.on_bad_record == "error":
                detail += f": it was used before, by {self._first_with_id(record.id).place}"
            self._reject(record, Fault("duplicate id", detail))

    def nothing_left(self) -> CorpusError:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.skipped.items())) or "none skipped"
        return CorpusError(
            f"{', '.join(self.recipe.sequences)}: no sequence is left of {self.records_read:,} records ({reasons}); "
            "check the files and the length bounds of the recipe"
        )

    def _reject(self, record: RawRecord, fault: Fault) -> None:
        if self.recipe.on_bad_record == "error":
            raise BadRecordError(
                f"{record.place}: {fault.detail}; "
                'correct the file, or set on_bad_record = "skip" to leave such records out'
            )
        self.skipped[fault.reason] += 1

    def _first_with_id(self, record_id: str) -> RawRecord:
        """Read the files again, because places of earlier records are not kept in memory."""
        again = _Reading(self.sources, self.recipe, self.alphabet)
        return next(record for record, _ in again.entries() if record.id == record_id)


class _CorpusWriter:
    """Grows the columns of a corpus batch by batch."""

    def __init__(self, ids: FlatTexts, residues: FlatTexts | None) -> None:
        self._ids = ids
        self._residues = residues
        self._seen = SeenHashes()
        self._id_hash = array("Q")
        self._length = array("i")
        self._digest = hashlib.sha256()

    def add(self, batch: Sequence[_Entry]) -> list[_Entry]:
        """Keep the entries whose ids are new and return the others, each later than its first use."""
        hash_B = np.array([hash_text(entry.record.id) for entry in batch], dtype=np.uint64)
        suspect_B = self._seen.contains(hash_B)
        first_use: dict[str, int] = {}
        is_new_B = np.array(
            [
                first_use.setdefault(record.id, index) == index
                and not (is_suspect and self._is_known(record.id, id_hash))
                for index, ((record, _), is_suspect, id_hash) in enumerate(
                    zip(batch, suspect_B.tolist(), hash_B.tolist(), strict=True)
                )
            ]
        )
        self._append([batch[index] for index in np.flatnonzero(is_new_B).tolist()], hash_B[is_new_B])
        return [batch[index] for index in np.flatnonzero(~is_new_B).tolist()]

    def finish(self, reading: _Reading) -> Corpus:
        return Corpus(
            id_hash_N=np.frombuffer(self._id_hash, dtype=np.uint64),
            length_N=np.frombuffer(self._length, dtype=np.int32),
            digest=self._digest.hexdigest(),
            records_read=reading.records_read,
            skipped=dict(sorted(reading.skipped.items())),
            recorded_sequences=reading.recorded_sequences(),
            _ids=self._ids,
            _residues=self._residues,
        )

    def _is_known(self, record_id: str, id_hash: int) -> bool:
        """Compare the ids themselves, because different ids may share a hash."""
        return any(self._ids[sequence] == record_id for sequence in self._seen.sequences(id_hash))

    def _append(self, entries: Sequence[_Entry], hash_B: UInt64s) -> None:
        self._seen.add(hash_B, first_sequence=len(self._length))
        self._id_hash.frombytes(hash_B.tobytes())
        self._length.extend([len(residues) for _, residues in entries])
        self._ids.extend([record.id for record, _ in entries])
        if self._residues is not None:
            self._residues.extend([residues for _, residues in entries])
        self._digest.update("".join([f"{record.id}\0{residues}\n" for record, residues in entries]).encode())


def _batched(entries: Iterator[_Entry]) -> Iterator[list[_Entry]]:
    batch: list[_Entry] = []
    batch_residues = 0
    for entry in entries:
        batch.append(entry)
        batch_residues += len(entry.residues)
        if len(batch) == _BATCH_RECORDS or batch_residues >= _BATCH_RESIDUES:
            yield batch
            batch, batch_residues = [], 0
    if batch:
        yield batch
