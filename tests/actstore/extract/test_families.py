"""Every row of the table against `output_hidden_states=True` of the unpadded sequence, site by site."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoTokenizer

from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import ModelRecipe
from actstore.extract.families import ARCHITECTURES, Architecture, architecture_for
from actstore.extract.model import TransformersModel, load_model

SEQUENCES = (
    "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSG",
    "M",
    "PROTEIN",
    "GSHMWWCLEERLGLIEVQAPILSR",
    "ACDEFGHIKLMNPQRSTVWY",
)
EVERYTHING = [np.arange(len(sequence), dtype=np.int32) for sequence in SEQUENCES]
FAMILIES = tuple(ARCHITECTURES)
SPACED = {"t5", "bert"}
TOLERANCE = 1e-5


def reference_network(family: str, folder: Path) -> Any:
    return getattr(transformers, ARCHITECTURES[family].model_class).from_pretrained(folder, dtype=torch.float32)


def as_text(family: str, sequence: str) -> str:
    """Return what the model's authors publish as preprocessing."""
    return " ".join(re.sub("[UZOB]", "X", sequence)) if family in SPACED else sequence


def hidden_states_alone(family: str, folder: Path) -> list[Float32s]:
    """Return every hidden state of `transformers` [residues, D], from unpadded sequences run one by one."""
    network, tokenizer = reference_network(family, folder), AutoTokenizer.from_pretrained(folder)
    collected: list[list[Float32s]] = []
    for sequence in SEQUENCES:
        encoded = tokenizer(as_text(family, sequence), return_tensors="pt")
        start = {"esm": 1, "bert": 1}.get(family, 0)
        with torch.inference_mode():
            states = network(input_ids=encoded.input_ids, output_hidden_states=True).hidden_states
        collected.append([state[0, start : start + len(sequence)].numpy() for state in states])
    return [np.concatenate(states) for states in zip(*collected, strict=True)]


def load_all(family: str, folder: Path) -> TransformersModel:
    return load_model(ModelRecipe(name=str(folder)), ["embed", "resid_post.*", *final_norm(family)])


def final_norm(family: str) -> list[str]:
    return [] if ARCHITECTURES[family].final_norm is None else ["final_norm"]


def largest_error(got_ND: Float32s, want_ND: Float32s) -> float:
    """Return the largest difference, relative to the largest value where that exceeds one."""
    return float(np.abs(got_ND - want_ND).max() / max(np.abs(want_ND).max(), 1.0))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, model_folder: Callable[[str], Path]) -> Path:
    return model_folder(family)


@pytest.fixture(scope="module")
def rows(family: str, folder: Path) -> Mapping[str, Float32s]:
    """Return all sites of all residues, from one padded batch of mixed lengths."""
    return load_all(family, folder).activations(SEQUENCES, EVERYTHING)


@pytest.fixture(scope="module")
def states(family: str, folder: Path) -> list[Float32s]:
    return hidden_states_alone(family, folder)


def test_embed_is_the_first_hidden_state(rows: Mapping[str, Float32s], states: list[Float32s]) -> None:
    assert largest_error(rows["embed"], states[0]) <= TOLERANCE


def test_resid_post_k_is_hidden_state_k_plus_one(rows: Mapping[str, Float32s], states: list[Float32s]) -> None:
    blocks = len(states) - 1
    assert sum(name.startswith("resid_post.") for name in rows) == blocks
    for block in range(blocks - 1):
        assert largest_error(rows[f"resid_post.{block}"], states[block + 1]) <= TOLERANCE, block


def test_the_last_block_is_taken_before_the_final_norm(
    family: str, folder: Path, rows: Mapping[str, Float32s], states: list[Float32s]
) -> None:
    last = torch.from_numpy(rows[f"resid_post.{len(states) - 2}"])
    norm_path = ARCHITECTURES[family].final_norm
    if norm_path is None:
        assert largest_error(last.numpy(), states[-1]) <= TOLERANCE
        return
    with torch.inference_mode():
        normed = reference_network(family, folder).get_submodule(norm_path)(last).numpy()
    assert largest_error(normed, states[-1]) <= TOLERANCE
    assert largest_error(last.numpy(), states[-1]) > 0.1


def test_final_norm_is_the_last_hidden_state(family: str, rows: Mapping[str, Float32s], states: list[Float32s]) -> None:
    if not final_norm(family):
        assert "final_norm" not in rows
        return
    assert largest_error(rows["final_norm"], states[-1]) <= TOLERANCE


def test_neighbouring_sites_are_far_from_equal(states: list[Float32s]) -> None:
    # If blocks hardly changed the stream, the tests above could not tell a site from the next.
    for state, following in pairwise(states):
        assert largest_error(state, following) > 0.05


@pytest.mark.parametrize("encoder", ["esm", "t5", "bert"])
def test_without_the_mask_padding_would_be_seen(encoder: str, model_folder: Callable[[str], Path]) -> None:
    # The mistake that the comparison must be able to find: a padded batch without its attention mask.
    folder = model_folder(encoder)
    network, tokenizer = reference_network(encoder, folder), AutoTokenizer.from_pretrained(folder)
    texts = [as_text(encoder, sequence) for sequence in SEQUENCES]
    padded = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        unmasked = network(input_ids=padded.input_ids).last_hidden_state
    special = 0 if encoder == "t5" else 1
    rows = np.concatenate(
        [unmasked[row, special : special + len(sequence)].numpy() for row, sequence in enumerate(SEQUENCES)]
    )
    assert largest_error(rows, hidden_states_alone(encoder, folder)[-1]) > 1000 * TOLERANCE


class TestRows:
    def test_a_recipe_overrides_single_paths(self) -> None:
        recipe = ModelRecipe(name="m", embed="wte")
        assert architecture_for("gpt2", recipe) == Architecture(
            model_class="GPT2Model", blocks="h", embed="wte", final_norm="ln_f", positions="wpe"
        )

    def test_an_unknown_type_has_what_the_recipe_names(self) -> None:
        recipe = ModelRecipe(name="m", blocks="trunk.layers", final_norm="trunk.norm")
        assert architecture_for("novel", recipe) == Architecture(blocks="trunk.layers", final_norm="trunk.norm")
