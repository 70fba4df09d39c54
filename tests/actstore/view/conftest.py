"""Stores that count something else than their proteins; each is made once. Do not write into them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore import copy_store, import_store

StoreOf = Callable[..., Path]


@pytest.fixture(scope="session")
def blocks_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two thousand rows of 16 features, of which nobody says whose they are: eight blocks."""
    folder = tmp_path_factory.mktemp("blocks")
    (folder / "source").mkdir()
    np.save(folder / "source" / "a.npy", np.random.default_rng(0).normal(size=(2000, 16)).astype(np.float32))
    small = {"store.task_rows": 512, "store.chunk_rows": 64}
    import_store(folder / "source", str(folder / "store"), recipe_options=small)
    return folder / "store"


@pytest.fixture(scope="session")
def part_store(store_of: StoreOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of four sites and two tasks of a store of sixty proteins."""
    store = tmp_path_factory.mktemp("part") / "store"
    copy_store(store_of(), store, sites=["embed", "final_norm"], splits="train", tasks=2)
    return store
