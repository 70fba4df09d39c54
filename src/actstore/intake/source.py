"""A folder, or several of the same rows, as a collection of sequences with their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.printable import is_plain, printable
from actstore.contracts.hashing import UInt64s, hash_text
from actstore.contracts.planes import Float32s
from actstore.contracts.sequences import SequenceCollection
from actstore.contracts.unknown import KNOWABLE, UNKNOWN_RESIDUE, UNKNOWN_TOKEN, Knowable
from actstore.errors import SourceError
from actstore.intake.parts import RowArray
from actstore.intake.sides import Side

__all__ = ["BLOCK_ROWS", "LONGEST_SEQUENCE", "Source", "source_of"]

BLOCK_ROWS: Final = 256
"""Rows without boundaries are taken in blocks of this size, about a protein: a block is in one split."""
LONGEST_SEQUENCE: Final = 1 << 18
"""The longest protein has 35,000 residues; a thousand sequences are read at a time."""


class _Places(NamedTuple):
    """Where the N sequences of a source are."""

    first_N: NDArray[np.int64]
    length_N: NDArray[np.int32]
    ids: Sequence[str]
    residues: Sequence[str] | None
    named: bool
    whole: bool
    """Whether the boundaries of sequences are known."""
    skipped: dict[str, int]


@dataclass(frozen=True, eq=False)
class Source:
    """N sequences with their rows at every site; a `contracts.sequences.SequenceCollection`."""

    sides: tuple[Side, ...]
    recorded_sequences: tuple[str, ...]
    """Places of the folders."""
    places: _Places
    texts: SequenceCollection | None
    """Residues by id, or by order, if a file of sequences was given."""
    text_N: NDArray[np.int64] | None
    """Place of each sequence in `texts`."""

    def __len__(self) -> int:
        return len(self.length_N)

    @property
    def length_N(self) -> NDArray[np.int32]:
        """Rows of each sequence."""
        return self.places.length_N

    @property
    def skipped(self) -> Mapping[str, int]:
        """Sequences that were left out, by reason."""
        return self.places.skipped

    @property
    def total_residues(self) -> int:
        """Rows of all sequences together."""
        return int(self.length_N.sum(dtype=np.int64))

    @cached_property
    def arrays(self) -> dict[str, RowArray]:
        """The rows of each site, of all sides."""
        return {site: array for side in self.sides for site, array in side.arrays.items()}

    @cached_property
    def known(self) -> tuple[Knowable, ...]:
        """What the files say of their rows; whether the model is known is not for them to say."""
        known = {
            "ids": self.places.named,
            "positions": self.places.whole,
            "residues": self.texts is not None or self.places.residues is not None,
            "tokens": self.sides[0].has_tokens,
        }
        return tuple(what for what in KNOWABLE if known.get(what))

    @cached_property
    def id_hash_N(self) -> UInt64s:
        """`hash_text` of each id.

        Raises
        ------
        SourceError
            If two sequences have one id, or an id cannot be shown.
        """
        ids = self.places.ids
        hash_N = np.fromiter(map(hash_text, ids), dtype=np.uint64, count=len(ids))
        if len(np.unique(hash_N)) < len(hash_N):
            order_N = np.argsort(hash_N, kind="stable")
            same = np.flatnonzero(hash_N[order_N][1:] == hash_N[order_N][:-1])
            twice = next(
                (ids[i] for i, j in zip(order_N[same], order_N[same + 1], strict=True) if ids[i] == ids[j]), None
            )
            if twice is not None:
                raise SourceError(f"two sequences have the id {printable(twice, most=80)!r}; ids must be unique")
        if bad := next((one for one in ids if not is_plain(one)), None):
            raise SourceError(f"{printable(bad, most=80)!r} cannot be an id: it is too long or not printable")
        return hash_N

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over ``id + NUL + residues + LF`` of each sequence in order, in UTF-8."""
        digest = hashlib.sha256()
        for sequence in range(len(self)):
            digest.update(f"{self.sequence_id(sequence)}\0{self.residues(sequence)}\n".encode())
        return digest.hexdigest()

    def sequence_id(self, sequence: int) -> str:
        """Return the id of one sequence."""
        return self.places.ids[sequence]

    def residues(self, sequence: int) -> str:
        """Return the residues of one sequence; letters for unknown ones if they are unknown."""
        if self.texts is not None and self.text_N is not None:
            return self.texts.residues(int(self.text_N[sequence]))
        if self.places.residues is not None:
            return self.places.residues[sequence]
        return UNKNOWN_RESIDUE * int(self.length_N[sequence])

    def read(self, sequence: int, position_K: NDArray[np.int32]) -> dict[str, Float32s]:
        """Return rows of one sequence, by ascending positions: for each site float32 [K, D]."""
        first, begin, end = self._range(sequence, position_K)
        return {site: array.read(first + begin, first + end)[position_K - begin] for site, array in self.arrays.items()}

    def tokens(self, sequence: int, position_K: NDArray[np.int32]) -> NDArray[np.int16]:
        """Return the tokens of these rows: int16 [K]; `UNKNOWN_TOKEN` if they are unknown."""
        if "tokens" not in self.known:
            return np.full(len(position_K), UNKNOWN_TOKEN, dtype=np.int16)
        first, begin, end = self._range(sequence, position_K)
        return self.sides[0].tokens(first + begin, first + end)[position_K - begin]

    def _range(self, sequence: int, position_K: NDArray[np.int32]) -> tuple[int, int, int]:
        return int(self.places.first_N[sequence]), int(position_K[0]), int(position_K[-1]) + 1


def source_of(sides: Sequence[Side], *, recorded: Sequence[str], texts: SequenceCollection | None = None) -> Source:
    """Return the sequences of one side, or of several that have the same rows.

    Parameters
    ----------
    sides
        Each with sites of its own.
    recorded
        Places of their folders.
    texts
        Sequences with their residues, of the ids in the files; or, if the files have no ids, all sequences of the rows,
        in their order.

    Raises
    ------
    SourceError
        If the sides do not have the same rows, or `texts` are not their sequences.
    """
    _check_pair(sides)
    places, text_N = _places(sides[0]), None
    if texts is not None and places.named:
        text_N = _by_id(places, texts)
    elif texts is not None:
        places, text_N = _by_order(sides[0], texts), np.arange(len(texts), dtype=np.int64)
    if (longest := int(places.length_N.max(initial=0))) > LONGEST_SEQUENCE:
        name = places.ids[int(places.length_N.argmax())]
        raise SourceError(
            f"{printable(name, most=80)} has {longest:,} rows, more than the {LONGEST_SEQUENCE:,} of any sequence; if "
            "its name is no id, say what the names in the files are: --keys sites"
        )
    return Source(tuple(sides), tuple(recorded), places, texts, text_N)


def _check_pair(sides: Sequence[Side]) -> None:
    names = [site for side in sides for site in side.arrays]
    if len(set(names)) < len(names):
        raise SourceError(f"two sources have one site ({', '.join(names)[:200]}); name them: SITE=FOLDER SITE=FOLDER")
    first = _places(sides[0])
    for side in sides[1:]:
        if side.rows != sides[0].rows:
            raise SourceError(f"the sources have {sides[0].rows:,} and {side.rows:,} rows: these are not the same rows")
        if side.shuffled or sides[0].shuffled:
            raise SourceError(
                "the rows of these files were shuffled for each site by itself, so that row for row they are of other "
                "residues; import each site to a store of its own, or with --format pt if you know that they were not"
            )
        other = _places(side)
        if first.whole and other.whole and not np.array_equal(first.length_N, other.length_N):
            raise SourceError("the sources have sequences of other lengths: these are not the same rows")
        if first.named and other.named and list(first.ids) != list(other.ids):
            raise SourceError("the sources have other ids, or another order of them: these are not the same rows")


def _places(side: Side) -> _Places:
    """Return where the sequences of a side are."""
    first: list[NDArray[np.int64]] = []
    length: list[NDArray[np.int64]] = []
    ids: list[str] = []
    residues: list[str] = []
    empty = 0
    for part, begin in zip(side.parts, side.first_P.tolist(), strict=False):
        if (bounds := part.boundaries) is None:
            start_S = np.arange(0, part.rows, BLOCK_ROWS, dtype=np.int64)
            length_S = np.minimum(part.rows - start_S, BLOCK_ROWS)
            ids += [
                f"{printable(part.name)}[{start}:{start + count}]"
                for start, count in zip(start_S.tolist(), length_S.tolist(), strict=True)
            ]
        else:
            here = np.flatnonzero(bounds.length_S > 0)
            start_S, length_S, empty = (
                bounds.start_S[here],
                bounds.length_S[here],
                empty + len(bounds.length_S) - len(here),
            )
            numbers = here.tolist()
            ids += [f"{printable(part.name)}[{i}]" if bounds.ids is None else bounds.ids[i] for i in numbers]
            residues += [] if bounds.residues is None else [bounds.residues[i] for i in numbers]
        first.append(begin + start_S)
        length.append(length_S)
    bounds_P = [part.boundaries for part in side.parts]
    return _Places(
        np.concatenate(first),
        np.concatenate(length).astype(np.int32),
        ids,
        residues if len(residues) == len(ids) else None,
        named=all(bounds is not None and bounds.ids is not None for bounds in bounds_P),
        whole=all(bounds is not None for bounds in bounds_P),
        skipped={"empty": empty} if empty else {},
    )


def _by_id(places: _Places, texts: SequenceCollection) -> NDArray[np.int64]:
    """Return the place in `texts` of each sequence."""
    order_T = np.argsort(texts.id_hash_N, kind="stable")
    hash_N = np.fromiter(map(hash_text, places.ids), dtype=np.uint64, count=len(places.ids))
    slot_N = np.minimum(np.searchsorted(texts.id_hash_N[order_T], hash_N), len(order_T) - 1)
    text_N = order_T[slot_N]
    missing = np.flatnonzero(texts.id_hash_N[text_N] != hash_N)
    if len(missing):
        raise SourceError(
            f"{len(missing):,} of {len(hash_N):,} sequences are not in the file of sequences, such as "
            f"{printable(places.ids[int(missing[0])], most=80)!r}; it has ids such as "
            f"{printable(texts.sequence_id(0), most=80)!r}"
        )
    wrong = np.flatnonzero(texts.length_N[text_N] != places.length_N)
    if len(wrong):
        one = int(wrong[0])
        raise SourceError(
            f"{printable(places.ids[one], most=80)} has {places.length_N[one]:,} rows, and "
            f"{texts.length_N[text_N[one]]:,} residues in the file of sequences"
        )
    return text_N


def _by_order(side: Side, texts: SequenceCollection) -> _Places:
    """Return the places of the sequences of `texts`, of which the rows are, in their order."""
    if side.shuffled:
        raise SourceError(
            "these files hold shuffled rows, so that nothing says which residue a row is of; import them without the "
            "file of sequences, or with --format pt if you know that they were not shuffled"
        )
    if texts.total_residues != side.rows:
        raise SourceError(
            f"the files hold {side.rows:,} rows without ids, and the file of sequences {texts.total_residues:,} "
            "residues: the rows are not those of its sequences one after the other"
        )
    length_N = texts.length_N.astype(np.int64)
    ids = [texts.sequence_id(sequence) for sequence in range(len(texts))]
    return _Places(np.cumsum(length_N) - length_N, texts.length_N, ids, None, named=True, whole=True, skipped={})
