from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.contracts.models import Site
from actstore.contracts.recipe import StoreRecipe
from actstore.store.format.layout import StoreLayout
from actstore.store.plan.footprint import footprint, read_row, writes
from actstore.store.read.open import locate_store

StoreOf = Callable[..., Path]
SITES = tuple(Site(f"resid_post.{block}", f"encoder.block.{block}", 1024) for block in range(24))
LAYOUT = StoreLayout.of(SITES, StoreRecipe(task_rows=1024, chunk_rows=256))


@pytest.mark.parametrize("encoding", ["float16", "int8", "int4"])
def test_every_file_of_a_store_is_a_write(encoding: str, store_of: StoreOf) -> None:
    folder = store_of(**{"store.encoding": encoding})
    frozen = locate_store(folder)[0].frozen
    rows = [split.rows for split in frozen.splits.values()]
    files = sum(path.is_file() for path in folder.rglob("*"))
    assert writes(rows, frozen.layout) == files


def test_holes_at_the_end_of_a_split_are_stored_up_to_the_chunk() -> None:
    made = [footprint([rows], LAYOUT) for rows in (1, 256, 257, 1024, 1025)]
    assert [one.tasks for one in made] == [1, 1, 1, 1, 2]
    assert made[0].bytes == made[1].bytes < made[2].bytes < made[3].bytes < made[4].bytes


def test_splits_have_tasks_of_their_own() -> None:
    assert footprint([1000, 1000], LAYOUT).tasks == 2
    assert footprint([2000], LAYOUT).tasks == 2
    assert footprint([2000, 0], LAYOUT).tasks == 2


@pytest.mark.parametrize(
    ("encoding", "read", "arrays", "payload"),
    [
        ("float16", 24, 25, 49_152),
        ("float16", 1, 2, 2048),
        ("int8", 24, 26, 24 * 1024 + 24 * 2),
        # The scales of all sites lie together.
        ("int8", 1, 3, 1024 + 24 * 2),
    ],
)
def test_a_reader_of_some_sites_reads_their_values_and_all_scales(
    encoding: str, read: int, arrays: int, payload: int
) -> None:
    row = read_row(LAYOUT.encoded_as(encoding), [site.name for site in SITES[:read]])
    assert row == (arrays, payload, payload + 8)
