"""What is decided before the first forward pass: splits, kept residues, order; and that it is decided once."""

import gzip
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe, SplitsRecipe
from actstore.errors import BadRecordError, RecipeChangedError
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.plan import plan_extraction, reopen
from tests.actstore.workflows.stores import contents, plain_rows, read_fasta, write_fasta

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def model() -> FakeModel:
    return FakeModel(sites=["embed"], width=4)


@pytest.fixture
def prepared(tmp_path: Path, model: FakeModel) -> Callable[[Recipe], Path]:
    """Prepare a store in a folder of the test."""

    def run(recipe: Recipe) -> Path:
        plan_extraction(LocalObjects(tmp_path / "store"), recipe, model, storage_options=None, progress=Silent())
        return tmp_path / "store"

    return run


class TestSplits:
    def test_they_are_disjoint_by_sequence_and_made_of_whole_tasks(
        self, store_of: StoreOf, recipe_of: RecipeOf
    ) -> None:
        rows = plain_rows(store_of())
        assert set(rows.splits.values()) == {"train", "valid", "test"}
        assert {name for name, _ in rows.residue_N} == rows.splits.keys()
        split_N = [rows.splits[name] for name, _ in rows.residue_N]
        assert [split for split, _ in groupby(split_N)] == ["train", "test", "valid"]

    def test_a_cluster_table_keeps_homologs_together(
        self, shared_data: Path, tmp_path: Path, recipe_of: RecipeOf, model: FakeModel
    ) -> None:
        with gzip.open(shared_data / "proteins" / "homologs.fasta.gz", "rt", encoding="ascii") as file:
            names = [line[1:].split()[0] for line in file if line.startswith(">")][::40]
        fasta = write_fasta(tmp_path / "homologs.fasta", dict.fromkeys(names, "MKTAYIAKQR"))
        families = {name: name.split("|")[0] for name in names}
        assert 1 < len(set(families.values())) < len(names) / 5
        table = tmp_path / "clusters.tsv"
        table.write_text("".join(f"{family}|0\t{name}\n" for name, family in families.items()))
        halves = {"splits.fractions": {"train": 0.5, "test": 0.5}, "corpus.sequences": [str(fasta)], "seed": 2}

        extract_with(model, LocalObjects(tmp_path / "alone"), recipe_of(**halves))
        extract_with(model, LocalObjects(tmp_path / "together"), recipe_of(**halves, **{"splits.clusters": str(table)}))
        splits_of: dict[str, dict[str, set[str]]] = {}
        for store in ("alone", "together"):
            for name, split in plain_rows(tmp_path / store).splits.items():
                splits_of.setdefault(store, {}).setdefault(families[name], set()).add(split)
        assert all(len(splits) == 1 for splits in splits_of["together"].values())
        assert {split for splits in splits_of["together"].values() for split in splits} == {"train", "test"}
        assert any(len(splits) == 2 for splits in splits_of["alone"].values())


def test_adding_sequences_changes_nothing_for_the_others(
    synthetic_fasta: Path, tmp_path: Path, recipe_of: RecipeOf, model: FakeModel
) -> None:
    records = list(read_fasta(synthetic_fasta).items())
    few = write_fasta(tmp_path / "few.fasta", dict(records[10:40]))
    many = write_fasta(tmp_path / "many.fasta", dict(records[::-1]))
    sampling = {"rows.fraction": 0.2, "rows.max_per_sequence": 40, "store.encoding": "float16"}
    stores = {}
    for fasta in (few, many):
        extract_with(
            model, LocalObjects(tmp_path / fasta.stem), recipe_of(**sampling, **{"corpus.sequences": [str(fasta)]})
        )
        stores[fasta.stem] = plain_rows(tmp_path / fasta.stem)
    names = {name for name, _ in records[10:40]}
    assert set(stores["few"].residue_N) == {residue for residue in stores["many"].residue_N if residue[0] in names}
    assert {name: stores["many"].splits[name] for name in names} == stores["few"].splits
    values = stores["many"].by_residue("embed")
    assert all((values[residue] == row_D).all() for residue, row_D in stores["few"].by_residue("embed").items())


class TestFreezing:
    def test_everything_but_rows_is_there_before_the_first_task(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf
    ) -> None:
        store = prepared(recipe_of())
        assert {"recipe.json", "sequences.parquet", "zarr.json", "sites/embed/center/c/0"} <= contents(store).keys()
        assert not list(store.glob("commits/*"))

    def test_a_second_time_finds_it_done(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf, model: FakeModel
    ) -> None:
        store = prepared(recipe_of())
        before = contents(store)
        prepared(recipe_of())
        assert contents(store) == before

    @pytest.mark.parametrize("splits", [SplitsRecipe(), SplitsRecipe(fractions={"b": 0.3, "train": 0.4, "a": 0.3})])
    def test_the_order_in_which_splits_were_written_down_is_of_no_account(
        self, recipe_of: RecipeOf, model: FakeModel, tmp_path: Path, splits: SplitsRecipe
    ) -> None:
        recipe = recipe_of().model_copy(update={"splits": splits})
        objects = LocalObjects(tmp_path / "store")
        first = plan_extraction(objects, recipe, model, storage_options=None, progress=Silent())
        assert reopen(objects, load_frozen(objects), model).tasks.digest() == first.tasks.digest()

    def test_reopening_gives_the_plan_that_was_frozen(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf, model: FakeModel, tmp_path: Path
    ) -> None:
        objects = LocalObjects(tmp_path / "store")
        first = plan_extraction(objects, recipe_of(), model, storage_options=None, progress=Silent())
        again = reopen(objects, first.frozen, model)
        assert again.tasks.digest() == first.tasks.digest() == first.frozen.plan_sha256

    def test_metadata_lost_by_a_kill_is_completed(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf
    ) -> None:
        store = prepared(recipe_of())
        before = contents(store)
        for lost in ("zarr.json", "sites/embed/values/zarr.json", "sites/embed/channel/c/0"):
            (store / lost).unlink()
        prepared(recipe_of())
        assert contents(store) == before

    def test_bad_sequences_leave_nothing_behind(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf, tmp_path: Path
    ) -> None:
        fasta = write_fasta(tmp_path / "bad.fasta", {"P1": "MKT", "P2": "MJT"})
        with pytest.raises(BadRecordError):
            prepared(recipe_of(**{"corpus.sequences": [str(fasta)]}))
        assert not (tmp_path / "store").exists()


class TestAChangedRecipe:
    @pytest.mark.parametrize(
        ("changes", "difference"),
        [
            ({"seed": 1}, "recipe.seed: the store has 0, this recipe gives 1"),
            ({"store.encoding": "float16"}, "recipe.store.encoding: the store has 'int8', this recipe gives 'float16'"),
            ({"rows.fraction": 0.5}, "recipe.rows.fraction: the store has 1.0, this recipe gives 0.5"),
            ({"corpus.window_overlap": 16}, "recipe.corpus.window_overlap: the store has 32, this recipe gives 16"),
            ({"model.dtype": "bfloat16"}, "recipe.model.dtype: the store has 'float32', this recipe gives 'bfloat16'"),
        ],
    )
    def test_is_refused_with_the_difference_and_nothing_is_written(
        self, changes: dict[str, object], difference: str, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf
    ) -> None:
        store = prepared(recipe_of())
        before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
        with pytest.raises(RecipeChangedError) as caught:
            prepared(recipe_of(**changes))
        assert difference in str(caught.value)
        assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before

    def test_every_difference_is_shown(self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf) -> None:
        prepared(recipe_of())
        with pytest.raises(RecipeChangedError) as caught:
            prepared(recipe_of(**{"seed": 7, "sites": ["embed"], "store.task_rows": 512}))
        for field in ("recipe.seed", "recipe.sites", "recipe.store.task_rows"):
            assert f"\n  {field}: " in str(caught.value)

    def test_changed_sequences_are_refused(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf, synthetic_fasta: Path, tmp_path: Path
    ) -> None:
        prepared(recipe_of())
        records = read_fasta(synthetic_fasta)
        name, residues = next(iter(records.items()))
        changed = write_fasta(tmp_path / "changed.fasta", {**records, name: residues[:-1] + "W"})
        with pytest.raises(RecipeChangedError, match=r"corpus\.digest: the store has"):
            prepared(recipe_of(**{"corpus.sequences": [str(changed)]}))

    def test_the_same_sequences_elsewhere_are_accepted(
        self, prepared: Callable[[Recipe], Path], recipe_of: RecipeOf, synthetic_fasta: Path, tmp_path: Path
    ) -> None:
        before = contents(prepared(recipe_of()))
        packed = tmp_path / "moved.fasta.gz"
        packed.write_bytes(gzip.compress(synthetic_fasta.read_bytes()))
        assert contents(prepared(recipe_of(**{"corpus.sequences": [str(packed)]}))) == before
