import numpy as np
import pytest

from actstore.contracts.models import Site
from actstore.contracts.tasks import Piece, Task
from actstore.errors import NumericsError
from actstore.intake.parts import Boundaries, Mapped, Part
from actstore.intake.rows import ImportedRows
from actstore.intake.sides import Side
from actstore.intake.source import source_of

SITES = (Site("site", "unknown", 4),)
ROWS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def rows_of(values: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> ImportedRows:
    bounds = Boundaries.of_lengths(np.array([4, 5]), ["P1", "P2"])
    source = source_of([Side([Part("a", {"site": Mapped(values)}, bounds)])], recorded=["/data"])
    return ImportedRows(source, SITES, np.array([1, 0]))  # the plan has the second first


def piece(sequence: int, *positions: int) -> Piece:
    return Piece(sequence, 0, 5, np.array(positions, dtype=np.int32))


def test_rows_are_at_their_place_in_the_shard() -> None:
    task = Task(0, "train", 5, (piece(0, 1, 4), piece(1, 0, 2, 3)), np.array([3, 0, 4, 1, 2]))
    done: list[int] = []
    found = rows_of(ROWS).task_rows(task, parallel=map, on_rows=done.append)
    wanted = np.array([(0, 1), (0, 4), (1, 0), (1, 2), (1, 3)])[task.order_N]
    assert found.sequence_N.tolist() == wanted[:, 0].tolist()
    assert found.position_N.tolist() == wanted[:, 1].tolist()
    assert found.token_N.tolist() == [-1] * 5
    place = {0: 4, 1: 0}
    np.testing.assert_array_equal(found.values["site"], ROWS[[place[s] + p for s, p in wanted.tolist()]])
    assert done == [2, 3]
    assert [rows_of(ROWS).sequence_id(sequence) for sequence in (0, 1)] == ["P2", "P1"]


def test_a_value_that_is_not_finite_is_named() -> None:
    spoilt = ROWS.copy()
    spoilt[6, 1] = np.inf
    task = Task(0, "train", 2, (piece(0, 1, 2),), np.arange(2))
    with pytest.raises(NumericsError, match="P2, residue 3, site site: inf in 1 of 4 features"):
        rows_of(spoilt).task_rows(task, parallel=map)
