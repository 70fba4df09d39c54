"""Read labels of residues from Parquet, and join them with the sequences of a store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore import Batch, Manifest, errors
from trainers.fit.rows.places import RowPlaces
from trainers.fit.terms.labels import MOST_CLASSES, LabelColumn, LabelFacts, Labels, column_facts
from trainers.save.files import file_sha256

__all__ = ["NamesSequences", "read_labels"]

_SEQUENCE: Final = ("sequence", "id")
_POSITION: Final = {"position": 0, "residue_number": 1}
"""Columns that say where a residue is, and from what they count: ours from 0, residue numbers of UniProt from 1."""
_SHOWN: Final = 3


class NamesSequences(Protocol):
    """A stream, as far as labels need it."""

    @property
    def manifest(self) -> Manifest:
        """The store's manifest."""
        ...

    def ids(self, batch: Batch) -> list[str]:
        """Return the id of each row's sequence."""
        ...


class _Column(NamedTuple):
    facts: LabelColumn
    value_N: NDArray[np.float64]


def read_labels(path: str | os.PathLike[str], stream: NamesSequences, *, split: str) -> Labels:
    """Read the labels of residues of a split.

    The file has a column `sequence` or `id`, as in the FASTA or Parquet file of the store; a column `position`, counted
    from 0, or `residue_number`, counted from 1; and a column for each label: bool, text (a category) or floating-point.
    Missing values are residues without that label.

    Parameters
    ----------
    path
        A Parquet file.
    stream
        On the store.
    split
        Its split to train on; labels of other sequences are left out.

    Raises
    ------
    UsageError
        If the file has not these columns, a residue has two rows, or no label is of a sequence of the split.
    """
    file = Path(path)
    table = _read(file)
    names = table.column_names
    sequence, position = _only(file, names, _SEQUENCE), _only(file, names, tuple(_POSITION))
    position_N = _positions(file, table, position) - _POSITION[position]
    id_N = table.column(sequence).to_pylist()
    number_of = _sequences(stream, split)
    number_N = np.array([number_of.get(one, -1) for one in id_N], dtype=np.int64)
    here_N = np.flatnonzero(number_N >= 0)
    if not len(here_N):
        raise errors.UsageError(_joins_nothing(file, sequence, id_N, split, number_of))
    places = RowPlaces(number_N[here_N], position_N[here_N].astype(np.int32))
    _refuse_twice(file, places.key_B, [id_N[one] for one in here_N.tolist()], position_N[here_N])
    columns = [
        _column(file, name, table.column(name).take(here_N)) for name in names if name not in {sequence, position}
    ]
    if not columns:
        raise errors.UsageError(f"{file}: no column with labels beside {sequence} and {position}")
    facts = LabelFacts(
        sha256=file_sha256(file), residues=len(here_N), columns=tuple(column.facts for column in columns)
    )
    return Labels(facts, places, np.stack([column.value_N for column in columns], axis=1))


def _read(file: Path) -> Any:  # noqa: ANN401 - a table of pyarrow, which has no types
    import pyarrow as pa  # noqa: PLC0415 - only runs with labels need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.read_table(file)
    except (OSError, pa.ArrowException) as error:
        raise errors.UsageError(f"--labels {file}: cannot be read as Parquet: {error}") from error


def _only(file: Path, names: Sequence[str], wanted: tuple[str, ...]) -> str:
    found = [name for name in wanted if name in names]
    if len(found) != 1:
        raise errors.UsageError(
            f"{file}: needs one column named {' or '.join(wanted)}, and has {', '.join(names)}; `position` counts "
            "residues from 0, `residue_number` from 1"
        )
    return found[0]


def _positions(file: Path, table: Any, name: str) -> NDArray[np.int64]:  # noqa: ANN401
    column = table.column(name)
    if not str(column.type).startswith(("int", "uint")) or column.null_count:
        raise errors.UsageError(f"{file}: column {name} is {column.type}; it needs a whole number in every row")
    position_N = np.asarray(column.to_numpy(), dtype=np.int64)
    if len(position_N) and not _POSITION[name] <= position_N.min() <= position_N.max() < 1 << 31:
        raise errors.UsageError(
            f"{file}: column {name} goes from {position_N.min():,} to {position_N.max():,}; it counts from "
            f"{_POSITION[name]}"
        )
    return position_N


def _sequences(stream: NamesSequences, split: str) -> dict[str, int]:
    """Return the number of each sequence of a split, by its id."""
    number_N = np.concatenate([np.arange(one.start, one.stop) for one in _ranges(stream.manifest, split)])
    nothing = np.zeros(len(number_N), dtype=np.int32)
    ids = stream.ids(Batch(None, number_N, number_N, nothing, nothing.astype(np.int16)))
    return dict(zip(ids, number_N.tolist(), strict=True))


def _ranges(manifest: Manifest, split: str) -> Iterator[range]:
    """Yield the numbers of the sequences of a split: in each store they are in the order of its splits."""
    first = 0
    for store in manifest.members or (manifest,):
        begin = first
        for name, facts in store.frozen.splits.items():
            if name == split:
                yield range(begin, begin + facts.sequences)
            begin += facts.sequences
        first += store.frozen.corpus.sequences


def _joins_nothing(file: Path, column: str, id_N: Sequence[str], split: str, number_of: dict[str, int]) -> str:
    theirs = ", ".join(repr(one) for one in list(dict.fromkeys(id_N))[:_SHOWN]) or "no rows"
    ours = ", ".join(repr(one) for one in list(number_of)[:_SHOWN])
    return (
        f"{file}: none of its sequences is in split {split!r} of the store. Column {column} has {theirs}; the split "
        f"has {ours}. Write the ids as the store has them (`actstore rows` shows them), or choose another --split"
    )


def _refuse_twice(file: Path, key_N: NDArray[np.int64], id_N: Sequence[str], position_N: NDArray[np.int64]) -> None:
    order_N = np.argsort(key_N, kind="stable")
    twice = np.flatnonzero(np.diff(key_N[order_N]) == 0)
    if len(twice):
        row = int(order_N[twice[0]])
        raise errors.UsageError(
            f"{file}: residue {position_N[row]:,} (from 0) of {id_N[row]!r} has two rows; put all its labels into one"
        )


def _column(file: Path, name: str, column: Any) -> _Column:  # noqa: ANN401
    """Return a label as numbers, NaN where it is missing.

    Raises
    ------
    UsageError
        If it is of another type, has too many classes, or all its values are equal.
    """
    kind: Literal["bool", "category", "float"]
    type_name = str(column.type)
    known_N = column.is_valid().to_numpy()
    value_N = np.full(len(column), np.nan)
    classes: tuple[str, ...] = ()
    values = column.drop_null().to_pylist()
    if type_name == "bool" or type_name in {"float", "double", "halffloat"}:
        kind = "bool" if type_name == "bool" else "float"
        value_N[known_N] = np.array(values, dtype=np.float64)
        value_N[np.isinf(value_N)] = np.nan
    elif type_name in {"string", "large_string"} or type_name.startswith("dictionary<values=string"):
        kind, classes = "category", tuple(sorted(set(values)))
        if len(classes) > MOST_CLASSES:
            raise errors.UsageError(f"{file}: label {name} has {len(classes):,} classes; at most {MOST_CLASSES:,}")
        number_of = {one: number for number, one in enumerate(classes)}
        value_N[known_N] = [number_of[one] for one in values]
    else:
        raise errors.UsageError(
            f"{file}: label {name} is {type_name}; write it as bool, as text (a category) or as floating-point numbers"
        )
    facts = column_facts(name, kind, value_N, classes)
    if facts is None:
        raise errors.UsageError(
            f"{file}: all {int(known_N.sum()):,} values of label {name} in this split are equal, so that nothing can "
            "be learned from it; leave the column out"
        )
    return _Column(facts, value_N)
