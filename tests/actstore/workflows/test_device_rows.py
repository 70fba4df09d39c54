"""Extraction whose rows are encoded on the device of the model: the same store, the same refusals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import ModelError, NumericsError
from actstore.extract.device_rows import TorchRows
from actstore.extract.model import TransformersModel, load_model
from actstore.quantize.table import QUANTIZERS
from actstore.workflows.care.repair import repair_store
from actstore.workflows.care.verify import verify_store
from actstore.workflows.extract import extract_with
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def keeping(tiny_model: TransformersModel) -> TransformersModel:
    """The model on the CPU, with rows that stay tensors."""
    return replace(tiny_model, keeps_rows=True)


@pytest.mark.parametrize("encoding", QUANTIZERS)
def test_the_store_is_that_of_rows_on_the_host(
    encoding: str, keeping: TransformersModel, tiny_recipe: RecipeOf, tiny_store: StoreOf, tmp_path: Path
) -> None:
    extract_with(keeping, LocalObjects(tmp_path / "store"), tiny_recipe(**{"store.encoding": encoding}))
    found, wanted = contents(tmp_path / "store"), contents(tiny_store(**{"store.encoding": encoding}))
    assert found.keys() == wanted.keys()
    different = [path for path, data in wanted.items() if found[path] != data]
    assert {path.split("/")[0] for path in different} <= {"statistics", "commits", "manifest.json"}
    for path in different:
        if path.startswith("statistics/") and path.count("/") > 2:
            one, other = (np.frombuffer(each[path]) for each in (found, wanted))
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-9 * np.abs(other).max())


def test_packed_sequences_come_to_a_store_that_verifies(
    keeping: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path
) -> None:
    packing = replace(keeping, pack_tokens=1024)
    report = extract_with(packing, LocalObjects(tmp_path / "store"), tiny_recipe())
    assert report.complete
    verified = verify_store(str(tmp_path / "store"))  # computes rows again, each sequence in a row of its own
    assert verified.ok
    assert verified.recomputed_rows > 0


def test_a_row_that_is_not_finite_is_named(keeping: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path) -> None:
    objects = LocalObjects(tmp_path / "store")
    extract_with(keeping, objects, tiny_recipe())
    for path in list(objects.sizes()):
        if path.startswith(("commits/", "manifest")):
            objects.delete(path)

    def spoil(_module: object, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output.masked_fill(torch.ones_like(output, dtype=torch.bool), float("nan"))

    hook = keeping.network.get_submodule("encoder.layer.3").register_forward_hook(spoil)
    try:
        with pytest.raises(NumericsError, match=r"^\S+, residue \d+, site resid_post\.3: nan in 128 of 128 features"):
            extract_with(keeping, objects, None)
    finally:
        hook.remove()
    assert not any(path.startswith("commits/") for path in objects.sizes())


def test_a_device_without_memory_is_told_of_before_the_first_task(
    keeping: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: TorchRows, rows: int) -> dict[str, torch.Tensor]:
        raise ModelError(f"the rows of a task ({rows}) do not fit")

    monkeypatch.setattr(TorchRows, "allocate", full)
    before = threading.active_count()
    objects = LocalObjects(tmp_path / "store")
    with pytest.raises(ModelError, match=r"the rows of a task \(256\) do not fit"):
        extract_with(keeping, objects, tiny_recipe())
    assert threading.active_count() == before
    assert not any(path.startswith("rows/") for path in objects.sizes() if not path.endswith("zarr.json"))


@NEEDS_CUDA
class TestOnAGpu:
    @pytest.fixture(scope="class")
    def model(self, tiny_recipe: RecipeOf) -> TransformersModel:
        recipe = tiny_recipe()
        return load_model(recipe.model, recipe.sites, device="cuda")

    def test_it_keeps_rows_and_packs(self, model: TransformersModel) -> None:
        assert model.keeps_rows
        assert model.pack_tokens == 1024

    def test_the_store_verifies_there_and_on_the_cpu(
        self, model: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path
    ) -> None:
        extract_with(model, LocalObjects(tmp_path / "store"), tiny_recipe())
        for device in ("cuda", "cpu"):
            assert verify_store(str(tmp_path / "store"), device=device).ok

    def test_the_same_again_has_the_same_bytes(
        self, model: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path
    ) -> None:
        for name in ("one", "other"):
            extract_with(model, LocalObjects(tmp_path / name), tiny_recipe())
        assert contents(tmp_path / "one") == contents(tmp_path / "other")

    def test_repair_gives_the_bytes_back(self, model: TransformersModel, tiny_recipe: RecipeOf, tmp_path: Path) -> None:
        extract_with(model, LocalObjects(tmp_path / "store"), tiny_recipe())
        before = contents(tmp_path / "store")
        (tmp_path / "store" / "sites" / "embed" / "values" / "c" / "1" / "0").unlink()
        repair_store(str(tmp_path / "store"), device="cuda")
        assert contents(tmp_path / "store") == before
