"""What a store may hold."""

import pytest

from actstore.contracts.models import Site
from actstore.contracts.recipe import StoreRecipe
from actstore.store.format.layout import StoreLayout
from actstore.store.format.limits import layout_problem, sites_problem

PROTT5 = tuple(Site(f"resid_post.{block}", f"encoder.block.{block}", 1024) for block in range(24))


def test_the_largest_stores_of_the_field_fit() -> None:
    """Five hundred million residues of 24 sites; 48 blocks of 5,120 features."""
    assert sites_problem(PROTT5) is None
    assert layout_problem(StoreLayout.of(PROTT5, StoreRecipe()), 32_000) is None
    assert layout_problem(StoreLayout.of(PROTT5, StoreRecipe()), 100_000) is None
    esm15b = tuple(Site(f"resid_post.{block}", f"layer.{block}", 5120) for block in range(48))
    assert sites_problem(esm15b) is None
    assert layout_problem(StoreLayout.of(esm15b, StoreRecipe(task_rows=65_536, chunk_rows=4)), 1000) is None


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ((), "0 sites"),
        ((Site("../x", "m", 8),), "cannot be the name of a site"),
        ((Site("x", "m\x1b", 8),), "cannot be a module"),
        ((Site("x", "m", 0),), "0 features"),
        ((Site("x", "m", 1 << 21),), "2,097,152 features"),
        ((Site("x", "m", 8), Site("x", "n", 8)), "two sites have one name"),
        (tuple(Site(f"x{index}", "m", 1 << 13) for index in range(1000)), "widest of 1000 sites"),
    ],
)
def test_sites_that_cannot_be_are_named(sites: tuple[Site, ...], message: str) -> None:
    assert message in (sites_problem(sites) or "")


@pytest.mark.parametrize(
    ("store", "tasks", "message"),
    [
        (StoreRecipe(), 1 << 21, "raise store.task_rows"),
        (StoreRecipe(task_rows=1 << 15, chunk_rows=1), 1, "32,768 chunks in a task"),
        (StoreRecipe(task_rows=1 << 14, chunk_rows=1), 1 << 12, "67,108,864 chunks, and a store"),
        (StoreRecipe(task_rows=1 << 20, chunk_rows=1 << 20), 1, "lower store.chunk_rows"),
    ],
)
def test_layouts_that_cannot_be_say_what_to_change(store: StoreRecipe, tasks: int, message: str) -> None:
    assert message in (layout_problem(StoreLayout.of(PROTT5, store), tasks) or "")
