"""Documents are read within bounds, strictly, and in one way only."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from actstore.access.open import LocalObjects
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.format import documents as module
from actstore.store.format.documents import check_size, load_json, parse_document, read_document


class Point(BaseModel):
    x: int
    names: dict[str, str] = {}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_a_document_is_read_whole(size: int, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path)
    objects.put("x.json", bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    assert read_document(objects, "x.json") == objects.get("x.json")
    assert read_document(objects, "x.json", most_bytes=size) == objects.get("x.json")
    if size:
        with pytest.raises(CorruptObjectError, match=f"x.json has more than {size - 1:,} bytes"):
            read_document(objects, "x.json", most_bytes=size - 1)


def test_a_document_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingObjectError):
        read_document(LocalObjects(tmp_path), "x.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"x": 1, "x": 1}', "names 'x' twice"),
        ('{"a": [{"\\u001b": 1, "\\u001b": 2}]}', r"names '\\\\x1b' twice"),
        ("[" * 100_000, "nested too deeply"),
        ("{", "Expecting"),
        ("9" * 5_000, "Exceeds the limit"),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_json(text.encode())


def test_utf8_alone_is_read() -> None:
    assert load_json('"é"'.encode()) == "é"
    with pytest.raises(ValueError, match="not UTF-8"):
        load_json('"é"'.encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8"):
        load_json('"é"'.encode("utf-16"))


def test_a_document_of_many_values_is_refused_by_its_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VALUES", 100)
    check_size(json.dumps([0] * 100).encode())
    check_size(b'"' + b"a" * 1_000 + b'"')
    for text in (json.dumps([0] * 101), "[" * 101, "{" * 101, "," * 101):
        with pytest.raises(ValueError, match="more than 100 values"):
            check_size(text.encode())
    monkeypatch.setattr(module, "MOST_DOCUMENT_BYTES", 9)
    with pytest.raises(ValueError, match="10 bytes, more than any"):
        check_size(bytes(10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"x": true}', "x: Input should be a valid integer"),
        ('{"x": "1"}', "x: Input should be a valid integer"),
        ('{"x": 1.0}', "x: Input should be a valid integer"),
        ("{}", "x: Field required"),
        ("[]", "document: "),
        ('{"x": 1, "names": {"\\u001b[2J": 1}}', r"names.\\x1b\[2J: "),
        ('{"x": null, "names": 1}', r"\(and 1 more\)$"),
    ],
)
def test_types_are_what_they_are(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_document(Point, text.encode())
    assert str(caught.value).isprintable()


def test_a_sound_document_is_parsed() -> None:
    assert parse_document(Point, b'{"x": 1}') == Point(x=1)
    assert parse_document(Point, b'{"x": 2, "x": 1}', unique=True) == Point(x=1)
