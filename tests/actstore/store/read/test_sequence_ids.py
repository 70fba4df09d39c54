"""Ids are read when somebody asks, each row group once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore.access.open import LocalObjects
from actstore.errors import MissingObjectError
from actstore.store.read.sequence_ids import SequenceIds

StoreOf = Callable[..., Path]


def test_ids_come_in_the_order_asked_also_after_closing(store_of: StoreOf) -> None:
    wanted = pq.read_table(store_of() / "sequences.parquet", columns=["id"])["id"].to_pylist()
    ids = SequenceIds(LocalObjects(store_of()))
    for _ in range(2):
        assert ids(np.array([7, 3, 7, 0])) == [wanted[7], wanted[3], wanted[7], wanted[0]]
        ids.close()
    assert ids(np.empty(0, np.int64)) == []
    ids.close()


def test_a_sequence_that_is_not_there_is_an_error(store_of: StoreOf) -> None:
    ids = SequenceIds(LocalObjects(store_of()))
    with pytest.raises(IndexError, match="sequence 60 of 60"):
        ids(np.array([1, 60]))
    ids.close()


def test_nothing_is_opened_before(tmp_path: Path) -> None:
    ids = SequenceIds(LocalObjects(tmp_path))
    ids.close()
    with pytest.raises(MissingObjectError):
        ids(np.array([0]))
