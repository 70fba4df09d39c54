"""Data sets that `datasets.save_to_disk` wrote, those of SAELens among them: Arrow streams, mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.access.regular_files import open_regular
from actstore.errors import SourceError
from actstore.intake.files import name_in, read_json, shown
from actstore.intake.parts import Boundaries, Concatenated, Mapped, Opened, Opening, Part
from actstore.intake.tensors import site_name

__all__ = ["DATASET_DICT", "STATE", "open_arrow"]

STATE: Final = "state.json"
DATASET_DICT: Final = "dataset_dict.json"
_INFO: Final = "dataset_info.json"
_TOKENS: Final = ("token_ids", "input_ids", "tokens")
_IDS: Final = ("id", "ids", "protein_id", "accession", "entry", "name", "label")
_RESIDUES: Final = ("sequence", "residues")


def open_arrow(place: Path, _opening: Opening) -> Opened:
    """Open the folder of one data set.

    A column of lists of vectors has the rows of a sequence in each record; a column of vectors has a row in each
    record. Columns of vectors are sites. Tokens, ids and residues come from the columns that are named so.

    Raises
    ------
    SourceError
        If it is no such folder, its records were selected or shuffled by an index, or a column does not fit.
    """
    if (place / DATASET_DICT).is_file():
        splits = ", ".join(printable(str(one)) for one in read_json(place / DATASET_DICT).get("splits", []))
        raise SourceError(f"{shown(place)}: holds the data sets {splits}; name the folder of one: {shown(place)}/NAME")
    state = read_json(place / STATE)
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise SourceError(f"{shown(place)}: its records are an index into others; save dataset.flatten_indices()")
    files = list(_data_files(place, state))
    also = [path for path in (place / STATE, place / _INFO) if path.is_file()]
    opened = Opened([], [*files, *also])
    for path in files:
        table = _mapped(path)
        if table.num_rows:
            opened.parts.append(_part(name_in(place, path), table, opened))
    return opened


class _Column(NamedTuple):
    """Vectors of a column."""

    values: list[NDArray[Any]]
    """[rows, D], for each batch of records."""
    lengths: list[NDArray[np.int64]] | None
    """Rows of each record, for each batch; None for one."""


def _data_files(place: Path, state: dict[str, Any]) -> Iterator[Path]:
    listed = state.get("_data_files")
    if not isinstance(listed, list) or not listed:
        raise SourceError(f"{shown(place)}: {STATE} names no data files")
    for entry in listed:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name:
            raise SourceError(f"{shown(place)}: {STATE} names a file that is not in its folder")
        yield place / name


def _mapped(path: Path) -> pa.Table:
    """Return the table of an Arrow stream, checked: its offsets would be addresses."""
    with _readable(path):
        with open_regular(path):  # not a pipe
            pass
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            table = reader.read_all()
        table.validate(full=True)
        return table


def _part(name: str, table: pa.Table, opened: Opened) -> Part:
    sites: dict[str, _Column] = {}
    with _readable(Path(name)):
        for field in table.schema:
            column = _vectors(name, field.name, table.column(field.name))
            if column is not None:
                sites[site_name(field.name)] = column
        arrays = {site: Concatenated([Mapped(values) for values in column.values]) for site, column in sites.items()}
        if not arrays:
            raise SourceError(
                f"{name}: no column of vectors among {', '.join(map(printable, table.column_names))[:300]}"
            )
        lengths = {site: None if one.lengths is None else np.concatenate(one.lengths) for site, one in sites.items()}
        length_S = next(iter(lengths.values()))
        for site, other_S in lengths.items():
            same = other_S is None if length_S is None else other_S is not None and np.array_equal(length_S, other_S)
            if not same:
                raise SourceError(f"{name}: column {site} has other rows than {next(iter(lengths))}")
        if length_S is None:
            return Part(name, arrays, None)
        ids, residues = _texts(table, _IDS), _texts(table, _RESIDUES)
        fits = residues is not None and [len(one) for one in residues] == length_S.tolist()
        if residues is not None and not (fits and all(one.isascii() and one.isalpha() for one in residues)):
            opened.say("the column of residues is left out: it has not one letter for each row")
            residues = None
        bounds = Boundaries.of_lengths(length_S, ids)
        upper = None if residues is None else [one.upper() for one in residues]
        return Part(name, arrays, Boundaries(bounds.start_S, length_S, ids, upper), _tokens(table, length_S, opened))


def _vectors(name: str, title: str, column: pa.ChunkedArray) -> _Column | None:
    """Return the vectors of a column of float lists; None for another column."""
    values: list[NDArray[Any]] = []
    lengths: list[NDArray[np.int64]] = []
    for chunk in column.chunks:
        *lists, numbers = _layers(chunk)
        if not pa.types.is_floating(numbers.type) or len(lists) not in {1, 2}:
            return None
        if any(one.null_count for one in (*lists, numbers)) or not len(numbers):
            raise SourceError(f"{name}: column {printable(title, most=80)} has empty places")
        widths = np.unique(_lengths(lists[-1]))
        if len(widths) != 1:
            raise SourceError(f"{name}: column {printable(title, most=80)} has vectors of several lengths")
        values.append(numbers.to_numpy(zero_copy_only=True).reshape(len(lists[-1]), int(widths[0])))
        if len(lists) == 2:
            lengths.append(_lengths(lists[0]))
    if not values or len({one.shape[1] for one in values}) > 1:
        raise SourceError(f"{name}: column {printable(title, most=80)} has vectors of several lengths")
    return _Column(values, lengths or None)


def _tokens(table: pa.Table, length_S: NDArray[np.int64], opened: Opened) -> Any:  # noqa: ANN401 - of a `Part`
    title = next((one for one in _TOKENS if one in table.column_names), None)
    if title is None:
        return None
    layers = [_layers(chunk) for chunk in table.column(title).chunks]
    whole = all(len(one) == 2 and pa.types.is_integer(one[1].type) and not one[1].null_count for one in layers)
    if not whole or not np.array_equal(np.concatenate([_lengths(lists) for lists, _ in layers]), length_S):
        opened.say(f"the column {title} is left out: it has not one whole number for each row")
        return None
    token_N = np.concatenate([numbers.to_numpy() for _, numbers in layers])
    return lambda start, stop: token_N[start:stop].astype(np.int64)


def _texts(table: pa.Table, names: Sequence[str]) -> list[str] | None:
    for title in names:
        if title in table.column_names and pa.types.is_string(table.schema.field(title).type):
            texts: list[str] = table.column(title).to_pylist()
            if all(texts):
                return texts
    return None


def _layers(array: Any) -> list[Any]:  # noqa: ANN401 - of pyarrow
    """Return lists, the lists in them, and so on; the last are no lists."""
    layers = [_storage(array)]
    while _is_list(layers[-1].type):
        layers.append(_storage(layers[-1].flatten()))
    return layers


def _storage(array: Any) -> Any:  # noqa: ANN401 - of pyarrow
    """Return the plain array of an extension type: `datasets` registers some for arrays of two axes."""
    return array.storage if isinstance(array.type, pa.BaseExtensionType) else array


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _lengths(array: Any) -> NDArray[np.int64]:  # noqa: ANN401 - of pyarrow
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array), array.type.list_size, dtype=np.int64)
    offsets: NDArray[np.int64] = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    return np.diff(offsets)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{shown(path)}: cannot be read as Arrow: {printable(str(error))}") from error
