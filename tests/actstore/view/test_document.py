import json
from pathlib import Path
from typing import NamedTuple

import pytest

from actstore.view.document import plain, to_json


class Inner(NamedTuple):
    name: str
    parts: tuple[int, ...]


class Outer(NamedTuple):
    inner: Inner
    by_number: dict[int, Inner]
    nothing: None = None


REPORT = Outer(Inner("a", (1, 2)), {3: Inner("b", ())})


def test_named_tuples_become_objects_all_the_way_down() -> None:
    assert plain(REPORT) == {
        "inner": {"name": "a", "parts": [1, 2]},
        "by_number": {"3": {"name": "b", "parts": []}},
        "nothing": None,
    }


def test_the_text_is_one_document() -> None:
    assert json.loads(to_json(REPORT)) == plain(REPORT)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Path("a"), {1, 2}])
def test_what_json_does_not_have_is_refused_and_not_made_up(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        to_json({"value": value})
