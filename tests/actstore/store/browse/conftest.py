"""Stores of every encoding, read from memory maps and in chunks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actstore.store.browse.store import Store, open_store
from tests.actstore.store.browse.plain import LARGE

StoreOf = Callable[..., Path]


@pytest.fixture(params=["int8", "int4", "float16", "bfloat16"])
def folder(request: pytest.FixtureRequest, store_of: StoreOf) -> Path:
    return store_of(**LARGE, **{"store.encoding": request.param})


@pytest.fixture(params=["mapped", "read"])
def store(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "read":
        monkeypatch.setattr("actstore.store.browse.random_rows.mapping_obstacle", lambda *_: "not today")
    with open_store(folder) as opened:
        yield opened
