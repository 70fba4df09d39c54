"""A position that can be written down."""

import json

import pytest

from actstore.errors import CursorError
from actstore.stream.cursor import Cursor


def test_a_cursor_survives_json() -> None:
    cursor = Cursor(epoch=2, batch=17, stream="3fa9")
    assert Cursor.from_json(json.loads(json.dumps(cursor.to_json()))) == cursor
    assert cursor.to_json() == {"epoch": 2, "batch": 17, "stream": "3fa9"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "0",
        {},
        {"epoch": 0, "batch": 1},
        {"epoch": -1, "batch": 0, "stream": "x"},
        {"epoch": 0, "batch": -1, "stream": "x"},
        {"epoch": 0.0, "batch": 0, "stream": "x"},
        {"epoch": "0", "batch": 0, "stream": "x"},
        {"epoch": 0, "batch": 0, "stream": 7},
        {"epoch": 0, "batch": None, "stream": "x"},
    ],
)
def test_what_is_no_cursor_is_refused(document: object) -> None:
    with pytest.raises(CursorError, match="not a cursor"):
        Cursor.from_json(document)
