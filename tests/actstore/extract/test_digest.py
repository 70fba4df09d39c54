"""The digest of a model in memory is the one that a store of it records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

import actstore
from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError, UsageError
from actstore.extract import digest
from actstore.extract.digest import weights_sha256
from actstore.extract.model import load_model

Folders = Callable[[str], Path]


def stored(folder: Path, **settings: object) -> str:
    """Return the digest that a store of this model has."""
    recipe = ModelRecipe.model_validate({"name": str(folder), **settings})
    return load_model(recipe, ["embed"]).facts.weights_sha256


def loaded(model_class: str, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return getattr(transformers, model_class).from_pretrained(folder, dtype=dtype)


@pytest.mark.parametrize(
    ("family", "model_class"),
    [
        ("esm", "EsmModel"),
        ("esm", "EsmForMaskedLM"),
        ("esm", "EsmForTokenClassification"),
        ("t5", "T5EncoderModel"),
        ("t5", "T5Model"),
        ("t5", "T5ForConditionalGeneration"),
        ("bert", "BertModel"),
        ("bert", "BertForMaskedLM"),
        ("gpt2", "GPT2Model"),
        ("gpt2", "GPT2LMHeadModel"),
        ("gpt_neox", "GPTNeoXForCausalLM"),
        ("llama", "LlamaForCausalLM"),
    ],
)
def test_it_is_that_of_the_store_whatever_the_head(family: str, model_class: str, model_folder: Folders) -> None:
    assert weights_sha256(loaded(model_class, model_folder(family))) == stored(model_folder(family))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_model_in_a_wider_format_has_the_digest_of_a_narrower_one(dtype: str, model_folder: Folders) -> None:
    folder = model_folder("esm")
    wanted = stored(folder, dtype=dtype)
    assert weights_sha256(loaded("EsmForMaskedLM", folder), dtype=dtype) == wanted
    assert weights_sha256(loaded("EsmForMaskedLM", folder, getattr(torch, dtype)), dtype=dtype) == wanted
    assert weights_sha256(loaded("EsmForMaskedLM", folder).double(), dtype=dtype) == wanted


def test_a_narrower_format_has_lost_the_digest_of_a_wider_one(model_folder: Folders) -> None:
    model = loaded("EsmModel", model_folder("esm"), torch.bfloat16)
    assert weights_sha256(model, dtype="float32") != stored(model_folder("esm"))


def test_of_another_module_all_parameters_count() -> None:
    torch.manual_seed(0)
    last = nn.LayerNorm(5)
    module = nn.Sequential(nn.Linear(3, 5), last)
    before = weights_sha256(module)
    with torch.no_grad():
        last.bias[4] = 1e-30
    assert weights_sha256(module) != before


class TestRepeated:
    def test_it_is_computed_once(self, model_folder: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
        model = loaded("EsmModel", model_folder("esm"))
        first = weights_sha256(model)
        monkeypatch.setattr(digest, "parameters_sha256", lambda *_args, **_named: pytest.fail("computed again"))
        assert weights_sha256(model) == first

    @pytest.mark.parametrize("through", ["no_grad", "data", "new data", "load_state_dict"])
    def test_a_changed_weight_is_seen(self, through: str, model_folder: Folders) -> None:
        model = loaded("EsmModel", model_folder("esm"))
        before, weight = weights_sha256(model), model.encoder.layer[2].output.dense.weight
        if through == "no_grad":
            with torch.no_grad():
                weight[0, 0] += 1
        elif through == "data":
            weight.data[0, 0] += 1
        elif through == "new data":
            weight.data = weight.data + 1
        else:
            model.load_state_dict({name: tensor + 1 for name, tensor in model.state_dict().items()})
        assert weights_sha256(model) != before

    def test_weights_that_change_back_have_their_digest_back(self, model_folder: Folders) -> None:
        model = loaded("EsmModel", model_folder("esm"))
        before, kept = weights_sha256(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with torch.no_grad():
            model.embeddings.word_embeddings.weight.zero_()
        weights_sha256(model)
        model.load_state_dict(kept)
        assert weights_sha256(model) == before


def test_weights_that_are_not_in_memory_have_no_digest() -> None:
    with torch.device("meta"), pytest.raises(ModelError, match="weight is not in memory"):
        weights_sha256(nn.Linear(3, 5))


def test_a_format_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="no number format 'float8'; there are float64, float32"):
        actstore.weights_sha256(nn.Linear(3, 5), dtype="float8")
