from __future__ import annotations

from actstore.contracts.models import Site
from actstore.extract.row_memory import RowMemory

SITES = (Site("embed", "embeddings", 8), Site("final_norm", "norm", 12))


def test_new_rows_have_the_shapes_and_types_of_a_task() -> None:
    rows = RowMemory().take(5, SITES)
    assert [(each.shape, str(each.dtype)) for each in (rows.sequence_N, rows.position_N, rows.token_N)] == [
        ((5,), "int64"),
        ((5,), "int32"),
        ((5,), "int16"),
    ]
    assert {name: (each.shape, str(each.dtype)) for name, each in rows.values.items()} == {
        "embed": ((5, 8), "float32"),
        "final_norm": ((5, 12), "float32"),
    }


def test_what_was_given_back_is_taken_again() -> None:
    memory = RowMemory()
    first = memory.take(5, SITES)
    second = memory.take(5, SITES)
    assert first is not second
    memory.give_back(first)
    assert memory.take(5, SITES) is first


def test_rows_of_another_shape_are_let_go() -> None:
    memory = RowMemory()
    for count, sites in ((4, SITES), (5, SITES[:1])):
        memory.give_back(memory.take(5, SITES))
        assert {name: values.shape for name, values in memory.take(count, sites).values.items()} == {
            site.name: (count, site.width) for site in sites
        }
    memory.give_back(rows := memory.take(4, SITES))
    assert memory.take(5, SITES) is not rows
    assert memory.take(4, SITES) is not rows, "memory that does not fit is kept for nothing"


def test_what_was_reserved_is_there() -> None:
    memory = RowMemory()
    memory.reserve(5, SITES, times=2)
    taken = [memory.take(5, SITES) for _ in range(3)]
    assert len({id(each) for each in taken}) == 3
