"""A position that can be written down."""

import json

import pytest

from actstore.errors import CursorError
from actstore.stream.cursor import Cursor

GOOD = {"epoch": 2, "start": 4096, "batch": 17, "world_size": 4, "stream": "3fa9"}


def test_a_cursor_survives_json() -> None:
    cursor = Cursor(epoch=2, start=4096, batch=17, world_size=4, stream="3fa9")
    assert Cursor.from_json(json.loads(json.dumps(cursor.to_json()))) == cursor
    assert cursor.to_json() == GOOD


@pytest.mark.parametrize("missing", GOOD)
def test_every_field_is_needed(missing: str) -> None:
    with pytest.raises(CursorError, match="expected epoch, start, batch, world_size and stream"):
        Cursor.from_json({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"start": -1},
        {"batch": -1},
        {"world_size": 0},
        {"epoch": 0.0},
        {"start": "0"},
        {"batch": None},
        {"world_size": "1"},
        {"stream": 7},
    ],
    ids=str,
)
def test_what_is_no_position_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(CursorError, match="not a cursor"):
        Cursor.from_json(GOOD | change)


@pytest.mark.parametrize("document", [None, [], "0", {}])
def test_what_is_no_cursor_is_refused(document: object) -> None:
    with pytest.raises(CursorError, match="not a cursor"):
        Cursor.from_json(document)
