"""A model whose weights are not those that the rows came from is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.utils import logging as transformers_logging

from actstore import errors, open_store
from tests.trainers.exchange.spliced import dictionary_for, loaded
from trainers.exchange.facts import ModelFacts
from trainers.exchange.trained import TrainedDictionary

SITE = {"resid_post.3": "encoder.layer.3"}


@pytest.fixture(autouse=True, scope="module")
def quiet() -> None:
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@pytest.fixture
def model(esm2_tiny: Path) -> Any:
    return loaded("EsmForMaskedLM", esm2_tiny)


def of_model(model: Any, facts: ModelFacts | None) -> TrainedDictionary:
    return dictionary_for(model, SITE, 128, model=facts)


@pytest.mark.parametrize("model_class", ["EsmModel", "EsmForMaskedLM", "EsmForTokenClassification"])
@pytest.mark.parametrize("dtype", ["auto", torch.float32, torch.float64])
def test_the_model_of_the_store_is_accepted(model_class: str, dtype: Any, esm2_tiny: Path, store: Path) -> None:
    """Its weights were published in float16, so each of these formats holds them."""
    live = loaded(model_class, esm2_tiny, dtype)
    with open_store(store) as opened:
        facts = opened.manifest.model
    known = ModelFacts(name=facts.name, dtype=facts.dtype, weights_sha256=facts.weights_sha256)
    with of_model(live, known).on(live):
        pass


def test_one_changed_weight_is_another_model(model: Any) -> None:
    dictionary = dictionary_for(model, SITE, 128)
    with torch.no_grad():
        model.esm.encoder.layer[5].output.dense.bias[0] += 1e-6
    with pytest.raises(errors.ModelError) as caught:
        dictionary.on(model)
    assert dictionary.facts.model is not None
    said = str(caught.value)
    assert f"came from a model with {dictionary.facts.model.weights_sha256}; load that model" in said
    assert "this EsmModel have the digest" in said
    with dictionary.on(model, allow_other_model=True) as spliced, torch.no_grad():
        model(input_ids=torch.full((1, 4), 5))
    assert spliced.codes.shape[:2] == (1, 4)


def test_another_head_is_the_same_model(model: Any) -> None:
    dictionary = dictionary_for(model, SITE, 128)
    with torch.no_grad():
        model.lm_head.dense.weight.zero_()
    with dictionary.on(model):
        pass


def test_a_model_whose_format_lost_bits_has_to_be_loaded_again(model: Any) -> None:
    dictionary = dictionary_for(model, SITE, 128)
    with pytest.raises(errors.ModelError, match="in bfloat16, which loses bits of float32, so load it with"):
        dictionary.on(model.bfloat16())


@pytest.mark.parametrize("digest", [None, "unknown"])
def test_without_a_digest_nothing_is_known(digest: str | None, model: Any) -> None:
    dictionary = of_model(model, ModelFacts(name="ESM", dtype="unknown", weights_sha256=digest))
    with pytest.raises(errors.ModelError, match="does not have the digest of the weights of ESM"):
        dictionary.on(model)
    with dictionary.on(model, allow_other_model=True):
        pass


def test_without_a_model_nothing_is_known(model: Any) -> None:
    with pytest.raises(errors.ModelError, match="digest of the weights of its model"):
        of_model(model, None).on(model)
