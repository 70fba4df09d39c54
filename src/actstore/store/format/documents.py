"""JSON from untrusted sources: read within limits, and refused if two readers could interpret it differently."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ValidationError

from actstore.access.objects import ObjectStore
from actstore.access.printable import printable
from actstore.errors import CorruptObjectError
from actstore.store.format.layout import FORMAT

__all__ = [
    "MOST_DOCUMENT_BYTES",
    "MOST_METADATA_BYTES",
    "FormatName",
    "check_size",
    "first_problem",
    "format_problem",
    "load_json",
    "parse_document",
    "read_document",
]

MOST_DOCUMENT_BYTES: Final = 1 << 26
"""Size of a manifest of a million tasks; one of 24 sites and 100,000 tasks has a ninth of it."""
MOST_METADATA_BYTES: Final = 1 << 23
"""Limit for a `zarr.json` or a calibration array."""
MOST_VALUES: Final = 1 << 21
"""Numbers, texts, lists and members of a document. A value takes about a hundred bytes of memory."""
_FIRST_BYTES: Final = 1 << 20
"""Size of the first request: storage clients may allocate memory for the requested size."""

_Model = TypeVar("_Model", bound=BaseModel)


def format_problem(found: object) -> str | None:
    """Return why a document with this member `format` cannot be read; None if it can.

    Examples
    --------
    >>> format_problem("actstore/1")
    "its format is 'actstore/1', and this version reads 'actstore/2' alone; extract again, to another place"
    """
    if found == FORMAT:
        return None
    kind = printable(repr(found) if isinstance(found, str | int | None) else type(found).__name__, most=80)
    if isinstance(found, str) and found.startswith("actstore/"):
        return f"its format is {kind}, and this version reads {FORMAT!r} alone; extract again, to another place"
    return f"not a manifest or recipe of a store: wanted format {FORMAT!r}, found {kind}"


def _known_format(found: object) -> object:
    if problem := format_problem(found):
        raise ValueError(problem)
    return found


FormatName = Annotated[Literal["actstore/2"], BeforeValidator(_known_format)]
"""The member `format` of a document."""


def read_document(objects: ObjectStore, path: str, *, most_bytes: int = MOST_DOCUMENT_BYTES) -> bytes:
    """Return an object that should be small.

    Raises
    ------
    MissingObjectError
        If there is none.
    CorruptObjectError
        If it is larger than `most_bytes`; the rest is not read.
    """
    first = min(_FIRST_BYTES, most_bytes + 1)
    data = objects.get_range(path, 0, first)
    if len(data) == first <= most_bytes:
        data = objects.get_range(path, 0, most_bytes + 1)  # in one request: it may be replaced between two
    if len(data) > most_bytes:
        raise CorruptObjectError(
            f"{objects.uri}: {path} has more than {most_bytes:,} bytes, as no such object has; if it is yours, have it "
            "written again with 'actstore repair URI', else do not use this store"
        )
    return data


def load_json(data: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return the content of a JSON document.

    Raises
    ------
    ValueError
        If it is not JSON in UTF-8, names a member twice, is nested too deeply, or holds more than `MOST_VALUES` values.
    """
    check_size(data)
    try:
        return json.loads(data.decode(), object_pairs_hook=_members)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start:,})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def check_size(data: bytes) -> None:
    """Refuse a document that needs much more memory than the documents of a store.

    Raises
    ------
    ValueError
        If it has more than `MOST_DOCUMENT_BYTES` bytes or `MOST_VALUES` values.
    """
    if len(data) > MOST_DOCUMENT_BYTES:
        raise ValueError(f"{len(data):,} bytes, more than any store's document has; is this the right file?")
    if len(data) > MOST_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values, more than any store's document has")


def parse_document(kind: type[_Model], data: bytes, *, unique: bool = False) -> _Model:
    """Return a document of a store, checked.

    Types are strict: neither `true` nor `"1"` is accepted for 1.

    Parameters
    ----------
    kind
        Expected type.
    data
        JSON.
    unique
        Whether the caller checks that no member is named twice.

    Raises
    ------
    ValueError
        One line with the first problem.
    """
    if unique:
        check_size(data)
    else:
        load_json(data)
    try:
        return kind.model_validate_json(data, strict=True)
    except ValidationError as error:
        raise ValueError(first_problem(error)) from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"holds a number or a nesting beyond all bounds ({type(error).__name__})") from error


def first_problem(error: ValidationError) -> str:
    """Return one line with the problem of a document, safe to show for any names and texts in it."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = printable(".".join(printable(str(part), most=80) for part in first["loc"])) or "document"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{where}: {printable(first['msg'].removeprefix('Value error, '))}{more}"


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"names {printable(twice, most=80)!r} twice")
    return members
