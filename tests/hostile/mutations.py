"""Documents that somebody changed: any JSON in place of any part of a valid one."""

import json
import os
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

__all__ = ["ATTACKS", "MORE", "any_json", "damaged_bytes", "mutated", "paths"]

MORE = int(os.environ.get("HOSTILE_TIMES", "1"))
"""Times as many examples as usual: HOSTILE_TIMES=100 for a long search."""

Step = str | int
Path = tuple[Step, ...]

ATTACKS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    2**64,
    10**30,
    10**400,
    -(10**30),
    0.5,
    1e308,
    -1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "1",
    "..",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a/b",
    "http://169.254.169.254/latest",
    "file:///etc/passwd",
    "reference://evil",
    "simplecache::s3://elsewhere/store",
    "\x00",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe",
    "\ud800",
    "[red]x[/]",
    "A" * 10_000,
    "9" * 5_000,
    "AAAA",
    "0" * 64,
    [],
    {},
    [[]],
    [None],
    {"": 0},
)
"""What is worth trying in place of anything."""

any_json = st.recursive(
    st.sampled_from(ATTACKS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.integers(-(2**70), 2**70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def paths(document: Any, prefix: Path = ()) -> Iterator[Path]:
    """Yield the path of every part of a document, the document itself first."""
    yield prefix
    if isinstance(document, dict):
        for key, value in document.items():
            yield from paths(value, (*prefix, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:3]):
            yield from paths(value, (*prefix, index))


def mutated(document: Any) -> st.SearchStrategy[bytes]:
    """Return bytes of a document with one or two parts replaced, dropped, doubled or exchanged."""
    places = list(paths(document))
    change = st.tuples(st.sampled_from(places), st.sampled_from(["replace", "replace", "drop", "double"]), any_json)
    return st.lists(change, min_size=1, max_size=2).map(lambda changes: _changed(document, changes))


def damaged_bytes(data: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that were cut, bent, or are any others."""
    size = len(data)
    cut = st.integers(0, size).map(lambda end: data[:end])
    bent = st.builds(_bent, st.just(data), st.integers(0, 2**32))
    return st.one_of(cut, bent, st.binary(max_size=64))


def _changed(document: Any, changes: list[tuple[Path, str, Any]]) -> bytes:
    copy = json.loads(json.dumps(document))
    for path, how, value in changes:
        if not path:
            copy = value
            continue
        part = copy
        try:
            for step in path[:-1]:
                part = part[step]
            _change(part, path[-1], how, value)
        except (KeyError, IndexError, TypeError, ValueError):
            continue  # another change took it away
    return json.dumps(copy).encode()


def _change(part: Any, step: Step, how: str, value: Any) -> None:
    if how == "replace":
        part[step] = value
    elif how == "drop":
        del part[step]
    elif isinstance(part, list):
        part.append(part[int(step)])
    else:
        part[f"{step}x"] = part[step]


def _bent(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    bent = bytearray(data)
    for _ in range(chance.choice((1, 2, 8, 32))):
        at = chance.randrange(max(len(bent), 1))
        match chance.randrange(3):
            case 0:
                bent[at : at + 1] = chance.randbytes(1)
            case 1:
                bent[at : at + 8] = chance.choice((b"\xff" * 8, b"\x00" * 8, b"\xff\xff\xff\x7f"))
            case _:
                del bent[at : at + chance.randrange(1, 16)]
    return bytes(bent)
