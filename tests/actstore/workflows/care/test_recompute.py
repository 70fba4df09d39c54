"""A store may be consistent in every byte and still wrong; only running the model again tells."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from actstore.access.open import LocalObjects
from actstore.contracts.models import ActivationModel, ModelFacts, ResidueTokenizer, Site
from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Silent
from actstore.contracts.recipe import Recipe
from actstore.extract.model import TransformersModel
from actstore.extract.task import extract_task
from actstore.store.read.assemble_manifest import write_manifest
from actstore.store.read.open import locate_store
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.writer import write_task
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.recompute import model_at_hand, recompute_sample
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_store, extract_with
from actstore.workflows.extraction.plan import plan_extraction

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]


class Neighbours:
    """A model that gives every row the values of another, and says that it is the right model."""

    def __init__(self, model: ActivationModel) -> None:
        self.model = model

    @property
    def facts(self) -> ModelFacts:
        return self.model.facts

    @property
    def tokenizer(self) -> ResidueTokenizer:
        return self.model.tokenizer

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.model.sites

    def only(self, sites: Collection[str]) -> "Neighbours":
        return Neighbours(self.model.only(sites))

    @property
    def most_tokens(self) -> int | None:
        return self.model.most_tokens

    @property
    def pack_tokens(self) -> int | None:
        return self.model.pack_tokens

    @property
    def device_rows(self) -> None:
        return None

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        return {site: np.roll(rows, 1, axis=0) for site, rows in self.model.activations(residues, kept).items()}


class Renumbered(FakeModel):
    """A tokenizer with other numbers for the same letters."""

    @property
    def tokenizer(self) -> ResidueTokenizer:
        right = super().tokenizer
        return replace(right, token_of=np.where(right.token_of >= 0, right.token_of + 100, -1).astype(np.int32))


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16", "bfloat16"])
def test_a_good_store_agrees_with_its_model(encoding: str, tiny_store: StoreOf) -> None:
    report = verify_store(str(tiny_store(**{"store.encoding": encoding})))
    assert (report.ok, report.not_recomputed) == (True, None)
    assert report.recomputed_rows >= 60


@pytest.mark.parametrize("encoding", ["int8", "int4", "float16", "bfloat16"])
def test_rows_of_other_residues_are_found_at_every_site(
    encoding: str, tiny_model: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path
) -> None:
    recipe = tiny_recipe(**{"store.encoding": encoding, "rows.max_per_sequence": 30})
    extract_with(Neighbours(tiny_model), LocalObjects(tmp_path / "store"), recipe)
    assert verify_store(str(tmp_path / "store"), recompute=False).ok
    report = verify_store(str(tmp_path / "store"))
    assert not report.ok
    assert {fault.object.split("/")[1] for fault in report.faults} == {site.name for site in tiny_model.sites}
    assert len(report.faults) > 0.9 * report.recomputed_rows * len(tiny_model.sites)
    first = report.faults[0]
    assert first.object.endswith(f"values/c/{first.task}/0")
    assert "is not what the model gives" in first.problem


def test_a_store_of_another_model_differs(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    found = recompute_sample(objects, manifest, FakeModel(seed=1), rows=16, progress=Silent())
    assert found.rows == 16
    assert len(found.differences) > 16
    assert recompute_sample(objects, manifest, FakeModel(), rows=500, progress=Silent()).differences == ()


def test_wrong_tokens_are_found(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    found = recompute_sample(objects, manifest, Renumbered(), rows=16, progress=Silent())
    assert {path.split("/c/")[0] for path, _, _ in found.differences} == {"rows/token"}
    assert len(found.differences) == found.rows


class TestRowsThatNameNothing:
    """Positions and sequences outside the corpus, as a defective writer might leave them."""

    @pytest.mark.parametrize(
        ("column", "wrong", "problem"),
        [("sequence", 10_000, "names sequence 10000 of 60"), ("position", 9_999, "names position 9999 of")],
    )
    def test_are_faults_and_not_crashes(
        self, column: str, wrong: int, problem: str, recipe_of: RecipeOf, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        objects, recipe = LocalObjects(tmp_path / "store"), recipe_of(**{"rows.fraction": 0.1})
        prepared = plan_extraction(objects, recipe, fake_model, storage_options=None, progress=Silent())
        with StoredSequences(objects) as sequences:
            for index in range(prepared.frozen.tasks):
                task = prepared.tasks.task(index)
                rows = extract_task(task, sequences, fake_model, tokens_per_batch=4096, parallel=map)
                getattr(rows, f"{column}_N")[:] = wrong
                write_task(objects, prepared.frozen, task, rows)
        write_manifest(objects)
        verified = verify_store(str(tmp_path / "store"))
        assert {fault.object for fault in verified.faults} >= {f"rows/{column}/c/0"}
        manifest, _ = locate_store(tmp_path / "store")
        found = recompute_sample(objects, manifest, fake_model, rows=8, progress=Silent())
        assert len(found.differences) == found.rows > 5
        for path, task_index, said in found.differences:
            assert path == f"rows/{column}/c/{task_index}"
            assert problem in said


def test_values_that_were_clamped_are_no_difference(recipe_of: RecipeOf, tmp_path: Path) -> None:
    class Loud(FakeModel):
        def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
            rows = super().activations(residues, kept)
            return {site: values_ND * np.float32(5000.0) for site, values_ND in rows.items()}

    recipe = recipe_of(**{"store.encoding": "float16", "store.on_overflow": "saturate", "rows.fraction": 0.2})
    extract_with(Loud(), LocalObjects(tmp_path / "store"), recipe)
    manifest, objects = locate_store(tmp_path / "store")
    assert manifest.statistics["embed"].saturated > 100
    assert recompute_sample(objects, manifest, Loud(), rows=64, progress=Silent()).differences == ()


class TestTheModelAtHand:
    @pytest.fixture
    def store(self, esm2_tiny: Path, tiny_recipe: RecipeOf, tmp_path: Path) -> Path:
        model = shutil.copytree(esm2_tiny, tmp_path / "model")
        asked = tiny_recipe(**{"model.name": str(model), "sites": ["embed"], "rows.fraction": 0.1})
        extract_store(asked, str(tmp_path / "store"))
        return tmp_path / "store"

    def test_is_the_folder_of_the_recipe(self, store: Path) -> None:
        manifest, _ = locate_store(store)
        model, reason = model_at_hand(manifest.frozen, device="cpu")
        assert model is not None
        assert reason == ""
        assert model.facts == manifest.model

    def test_is_not_one_with_other_weights(self, store: Path, tmp_path: Path) -> None:
        weights = tmp_path / "model" / "model.safetensors"
        tensors = load_file(weights)
        tensors["esm.encoder.layer.0.output.dense.bias"][0] += 1.0
        save_file(tensors, weights, metadata={"format": "pt"})
        report = verify_store(str(store))
        assert report.ok
        assert report.not_recomputed is not None
        assert "has other weights" in report.not_recomputed

    @pytest.mark.parametrize("lost", ["config.json", "model.safetensors", "vocab.txt", ""])
    def test_is_not_one_that_is_gone_or_broken(self, lost: str, store: Path, tmp_path: Path) -> None:
        (tmp_path / "model" / lost).rename(tmp_path / "aside")
        report = verify_store(str(store))
        assert (report.ok, report.recomputed_rows) == (True, 0)
        assert report.not_recomputed is not None
        assert str(tmp_path / "model") in report.not_recomputed
