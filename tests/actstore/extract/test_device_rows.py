"""Rows that stay on the device of a model until they are encoded come to the same store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from actstore.contracts.models import ActivationModel
from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError
from actstore.extract.model import TransformersModel, load_model
from actstore.testing.conformance_model import MODEL_CHECKS

DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")),
]
PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQ", "GSHM"]
KEPT = [np.array([0, 3, 21], dtype=np.int32), np.array([2], dtype=np.int32)]


@pytest.fixture(params=DEVICES)
def model(request: pytest.FixtureRequest, esm2_tiny: Path) -> TransformersModel:
    loaded = load_model(ModelRecipe(name=str(esm2_tiny)), ["embed", "resid_post.2"], device=request.param)
    return replace(loaded, keeps_rows=True)


@pytest.mark.parametrize("pack_tokens", [None, 64])
def test_rows_are_put_in_their_places(model: TransformersModel, pack_tokens: int | None) -> None:
    model = replace(model, pack_tokens=pack_tokens)
    rows = model.device_rows
    assert rows is not None
    into = rows.allocate(6)
    assert {site: (values.shape, values.dtype, values.device.type) for site, values in into.items()} == {
        site.name: ((6, 128), torch.float32, model.network.device.type) for site in model.sites
    }
    for values in into.values():
        values.fill_(-1.0)
    rows.fill(PROTEINS, KEPT, into, np.array([5, 0, 2, 3]))
    for site, wanted in model.activations(PROTEINS, KEPT).items():
        found = into[site].cpu().numpy()
        np.testing.assert_array_equal(found[[5, 0, 2, 3]], wanted)
        assert (found[[1, 4]] == -1.0).all()


@pytest.mark.parametrize("pack_tokens", [None, 1024])
@pytest.mark.parametrize("check", MODEL_CHECKS, ids=lambda check: check.__name__)
def test_a_model_that_keeps_rows_conforms(
    check: Callable[[ActivationModel], None], pack_tokens: int | None, model: TransformersModel
) -> None:
    check(replace(model, pack_tokens=pack_tokens))


def test_a_model_on_the_host_has_none(model_folder: Callable[[str], Path]) -> None:
    assert load_model(ModelRecipe(name=str(model_folder("esm"))), ["embed"]).device_rows is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_task_that_does_not_fit_says_what_to_do(model_folder: Callable[[str], Path]) -> None:
    rows = load_model(ModelRecipe(name=str(model_folder("esm"))), ["embed"], device="cuda").device_rows
    assert rows is not None
    with pytest.raises(ModelError, match=r"do not fit into the memory of cuda.*store\.task_rows"):
        rows.allocate(1 << 40)
