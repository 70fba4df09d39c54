"""`compressor = "auto"`: decided on the first task, before anything is frozen, and for good."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore import open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.errors import NumericsError, RecipeChangedError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.compress import PlanOrder
from actstore.workflows.extraction.plan import plan_extraction
from actstore.workflows.inspect import inspect_store
from tests.actstore.workflows.stores import contents, plain_rows

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]

FEW = {"rows.fraction": 0.3}
AUTO = {"store.compressor": "auto", **FEW}


class LettersAlone(FakeModel):
    """Rows that know nothing of their context: some twenty distinct ones, as at the site `embed`."""

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        letters = [text[place] for text, place_K in zip(residues, kept, strict=True) for place in place_K]
        return super().activations(letters, [np.zeros(1, np.int32)] * len(letters))


@pytest.fixture(scope="module")
def repetitive(recipe_of: RecipeOf, tmp_path_factory: pytest.TempPathFactory) -> StoreOf:
    """Return a new store of rows that compress well."""

    def store(**changes: object) -> Path:
        folder = tmp_path_factory.mktemp("repetitive") / "store"
        extract_with(LettersAlone(), LocalObjects(folder), recipe_of(**FEW, **changes))
        return folder

    return store


@pytest.fixture(scope="module")
def auto_store(repetitive: StoreOf) -> Callable[[], Path]:
    """Return a new store of rows that compress well, with the compressor left to measurement."""
    return lambda: repetitive(**{"store.compressor": "auto"})


def frozen_compressor(store: Path) -> str:
    return load_frozen(LocalObjects(store)).recipe.store.compressor


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16"])
def test_rows_that_repeat_are_compressed_and_read_as_ever(encoding: str, repetitive: StoreOf) -> None:
    plain = repetitive(**{"store.encoding": encoding})
    packed = repetitive(**{"store.encoding": encoding, "store.compressor": "auto"})
    assert frozen_compressor(packed) in {"zstd", "blosc"}
    inspected = inspect_store(packed)
    assert inspected.compressor == frozen_compressor(packed)
    assert set(inspected.compressor_ratios) == {"zstd", "blosc"}
    assert max(inspected.compressor_ratios.values()) == inspected.compressor_ratios[inspected.compressor] > 4 / 3
    assert inspected.bytes_per_row < 0.75 * inspect_store(plain).bytes_per_row
    one, other = plain_rows(plain), plain_rows(packed)
    assert one.residue_N == other.residue_N
    for site, values_ND in one.values.items():
        assert values_ND.tobytes() == other.values[site].tobytes()
    with open_stream(packed, split=None, batch_rows=512) as stream:
        read = {
            int(row): values_SD
            for batch in stream
            for row, values_SD in zip(batch.row_B, batch.values_BSD.copy(), strict=True)
        }
    with open_stream(plain, split=None, batch_rows=512) as stream:
        for batch in stream:
            for row, values_SD in zip(batch.row_B, batch.values_BSD, strict=True):
                assert values_SD.tobytes() == read[int(row)].tobytes()
    assert verify_store(str(packed), recompute=False).ok


def test_what_the_zarr_metadata_say_is_what_was_chosen(auto_store: Callable[[], Path]) -> None:
    store = auto_store()
    [sharding] = json.loads((store / "sites/embed/values/zarr.json").read_bytes())["codecs"]
    assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes", frozen_compressor(store)]


def test_rows_that_hardly_compress_stay_as_they_are(store_of: StoreOf) -> None:
    asked, plain = store_of(**AUTO), store_of(**FEW)
    inspected = inspect_store(asked)
    assert inspected.compressor == "none"
    assert 0.9 < min(inspected.compressor_ratios.values()) <= max(inspected.compressor_ratios.values()) < 4 / 3
    assert inspect_store(plain).compressor_ratios == {}
    # The same objects; only documents that name the recipe differ.
    here, there = contents(asked), contents(plain)
    assert here.keys() == there.keys()
    assert {path for path in here if here[path] != there[path] and "/c/" in path} == set()


def test_the_choice_is_the_same_every_time_and_part_of_the_manifest(auto_store: Callable[[], Path]) -> None:
    one, other = auto_store(), auto_store()
    assert contents(one) == contents(other)
    manifest, _ = locate_store(one)
    assert manifest.frozen.compression is not None
    again = Manifest.model_validate_json(manifest.to_json(uri=None))
    assert (again.digest, again.frozen.compression) == (manifest.digest, manifest.frozen.compression)


def test_it_is_measured_on_the_rows_of_the_first_task(auto_store: Callable[[], Path]) -> None:
    frozen = load_frozen(LocalObjects(auto_store()))
    assert frozen.compression is not None
    assert frozen.compression.rows == frozen.rows_of(0)
    assert frozen.compression.value_bytes["none"] == frozen.rows_of(0) * 4 * 16


class TestResuming:
    def test_with_auto_keeps_the_choice(self, auto_store: Callable[[], Path], recipe_of: RecipeOf) -> None:
        store = auto_store()
        whole = contents(store)
        for lost in ("manifest.json", "commits/1.json", "sites/embed/values/c/1/0"):
            (store / lost).unlink()
        extract_with(LettersAlone(), LocalObjects(store), recipe_of(**AUTO))
        assert contents(store) == whole

    def test_without_a_recipe_keeps_the_choice(self, auto_store: Callable[[], Path]) -> None:
        store = auto_store()
        whole = contents(store)
        (store / "commits/1.json").unlink()
        extract_with(LettersAlone(), LocalObjects(store), None)
        assert contents(store) == whole

    def test_with_auto_accepts_a_store_whose_recipe_named_one(self, repetitive: StoreOf, recipe_of: RecipeOf) -> None:
        store = repetitive(**{"store.compressor": "blosc"})
        whole = contents(store)
        extract_with(LettersAlone(), LocalObjects(store), recipe_of(**AUTO))
        assert contents(store) == whole

    def test_with_the_chosen_name_is_accepted_and_with_another_refused(
        self, auto_store: Callable[[], Path], recipe_of: RecipeOf
    ) -> None:
        store = auto_store()
        chosen = frozen_compressor(store)
        extract_with(LettersAlone(), LocalObjects(store), recipe_of(**FEW, **{"store.compressor": chosen}))
        with pytest.raises(RecipeChangedError, match=rf"store\.compressor: the store has '{chosen}'"):
            extract_with(LettersAlone(), LocalObjects(store), recipe_of(**FEW))


def test_an_error_in_the_first_task_leaves_nothing_behind(recipe_of: RecipeOf, tmp_path: Path) -> None:
    class Broken(FakeModel):
        def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
            rows = super().activations(residues, kept)
            return {site: values_ND * np.float32(np.nan) for site, values_ND in rows.items()}

    asked = recipe_of(**AUTO, **{"store.encoding": "float16"})
    with pytest.raises(NumericsError):
        plan_extraction(LocalObjects(tmp_path / "store"), asked, Broken(), storage_options=None, progress=Silent())
    assert not (tmp_path / "store").exists()


def test_what_is_frozen_with_another_compressor_is_otherwise_the_same(auto_store: Callable[[], Path]) -> None:
    frozen = load_frozen(LocalObjects(auto_store()))
    named = frozen.compressed_by("zstd")
    assert (named.layout.compressor, named.compression) == ("zstd", None)
    assert {spec.compressor for spec in named.row_arrays if spec.path.endswith("/values")} == {"zstd"}
    assert named.compressed_by(frozen.layout.compressor, facts=frozen.compression) == frozen


def test_a_plan_sees_the_corpus_in_its_own_order() -> None:
    class Corpus:
        def residues(self, sequence: int) -> str:
            return "ABC"[sequence]

        def sequence_id(self, sequence: int) -> str:
            return f"P{sequence}"

    source = PlanOrder(Corpus(), np.array([2, 0, 1]))
    assert [source.residues(index) for index in range(3)] == ["C", "A", "B"]
    assert [source.sequence_id(index) for index in range(3)] == ["P2", "P0", "P1"]
