"""Sequences beside their recipe; more disagreements are in `tests/hostile/test_lies.py`."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.hashing import hash_text
from actstore.contracts.recipe import Recipe
from actstore.contracts.windows import RowWindow
from actstore.store.care.agreement import stored_plan
from actstore.store.read.open import locate_store
from actstore.store.read.reader import ArrayReader
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


def test_the_plan_of_a_sound_store_is_in_its_rows(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    reader = ArrayReader(objects, manifest)
    with stored_plan(objects, manifest.frozen) as plan:
        assert plan.problems == ()
        for task in range(manifest.frozen.tasks):
            columns = plan.columns(task)
            assert columns is not None
            window = RowWindow(task, 0, manifest.frozen.rows_of(task))
            np.testing.assert_array_equal(columns.sequence_N, reader.rows("rows/sequence", window))
            np.testing.assert_array_equal(columns.position_N, reader.rows("rows/position", window))


@pytest.mark.parametrize("content", [b"", b"PAR1" * 20, None])
def test_sequences_that_cannot_be_read_are_a_problem_and_no_error(own_store: StoreOf, content: bytes | None) -> None:
    store = own_store()
    if content is None:
        (store / "sequences.parquet").unlink()
    else:
        (store / "sequences.parquet").write_bytes(content)
    objects = LocalObjects(store)
    with stored_plan(objects, load_frozen(objects)) as plan:
        assert len(plan.problems) == 1
        assert plan.columns(0) is None


def test_another_seed_gives_another_plan(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    frozen = load_frozen(objects)
    other = frozen.model_copy(update={"recipe": frozen.recipe.model_copy(update={"seed": 7})})
    with stored_plan(objects, other) as plan:
        assert "does not give the plan that the recipe was frozen with" in plan.problems
        assert plan.columns(0) is None


class TestWithClusters:
    @pytest.fixture
    def store(self, recipe_of: RecipeOf, fake_model: FakeModel, synthetic_fasta: Path, tmp_path: Path) -> Path:
        """A store whose sequences are in clusters of seven."""
        ids = [line[1:].split()[0] for line in synthetic_fasta.read_text().splitlines() if line.startswith(">")]
        clusters = tmp_path / "clusters.tsv"
        clusters.write_text("".join(f"{ids[index // 7 * 7]}\t{name}\n" for index, name in enumerate(ids)))
        recipe = recipe_of(**{"splits.clusters": str(clusters), "sites": ["embed"], "rows.fraction": 0.1})
        extract_with(fake_model, LocalObjects(tmp_path / "store"), recipe)
        return tmp_path / "store"

    def test_the_splits_follow_from_the_column(self, store: Path) -> None:
        table = pq.read_table(store / "sequences.parquet")
        assert len(set(table["cluster"].to_pylist())) == 9
        assert set(table["cluster"].to_pylist()) < set(map(hash_text, table["id"].to_pylist()))
        assert self.problems(store) == ()

    def test_splits_of_other_clusters_are_a_problem(self, store: Path) -> None:
        path = store / "sequences.parquet"
        table = pq.read_table(path)
        rolled = table["cluster"].take(np.roll(np.arange(len(table)), 30))
        changed = table.set_column(5, table.schema.field("cluster"), rolled)
        pq.write_table(changed, path, compression="zstd", write_page_checksum=True)
        assert "has sequences in other splits than the ones that the recipe draws for their clusters" in self.problems(
            store
        )

    def test_a_recipe_without_clusters_has_no_such_column(self, store: Path) -> None:
        document = json.loads((store / "recipe.json").read_bytes())
        document["recipe"]["splits"]["clusters"] = None
        (store / "recipe.json").write_text(json.dumps(document))
        assert "has a column 'cluster', unlike the recipe" in self.problems(store)

    def problems(self, store: Path) -> tuple[str, ...]:
        objects = LocalObjects(store)
        with stored_plan(objects, load_frozen(objects)) as plan:
            return plan.problems
