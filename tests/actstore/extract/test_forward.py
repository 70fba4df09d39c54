from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from actstore.contracts.models import Site
from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError, SiteError, TokenizerError
from actstore.extract.forward import ForwardPass
from actstore.extract.model import TransformersModel, load_model


def positions(*wanted: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array(wanted, dtype=np.int32)


@pytest.fixture(scope="module")
def esm(model_folder: Callable[[str], Path]) -> TransformersModel:
    return load_model(ModelRecipe(name=str(model_folder("esm"))), ["resid_post.1"])


def test_blocks_after_the_last_site_do_not_run(esm: TransformersModel) -> None:
    ran: list[int] = []
    blocks = esm.network.get_submodule("encoder.layer")
    hooks = [
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(blocks.children())
    ]
    esm.activations(["MKT"], [positions(0, 1)])
    for hook in hooks:
        hook.remove()
    # The hook that ends the pass at block 1 was registered after the one that counts.
    assert ran == [0, 1]


def test_only_the_sites_asked_for_come_back(esm: TransformersModel) -> None:
    assert list(esm.activations(["MKT"], [positions(0)])) == ["resid_post.1"]


def test_special_tokens_are_never_rows(esm: TransformersModel) -> None:
    network = esm.network
    with torch.inference_mode():
        tokens = torch.tensor([[0, *esm.tokenizer.tokens("MKT").tolist(), 2]])
        hidden = network(tokens, torch.ones_like(tokens), output_hidden_states=True).hidden_states[2]
    rows = esm.activations(["MKT"], [positions(0, 1, 2)])["resid_post.1"]
    np.testing.assert_allclose(rows, hidden[0, 1:4].numpy(), rtol=0, atol=1e-5)


def test_a_foreign_letter_is_named_with_its_position(esm: TransformersModel) -> None:
    with pytest.raises(TokenizerError, match="residue 3 is 'J', which is not in the model's alphabet"):
        esm.activations(["MKJ"], [positions(0)])


def test_a_module_without_a_vector_for_each_token_is_refused(esm: TransformersModel) -> None:
    # Its output is [1, T, D]: shared by all sequences of the batch.
    rotary = [Site("rotary_embeddings", "rotary_embeddings", 0)]
    with pytest.raises(SiteError, match=r"rotary_embeddings: .* shape \[1, 5, 8\] for 2 rows of 5 tokens"):
        ForwardPass(esm.network, esm.tokenizer, rotary, longest=None).rows(["MKT", "MK"], [positions(0), positions(0)])


def test_rows_hold_no_memory_of_the_padded_batch(esm: TransformersModel) -> None:
    values = esm.activations(["M" * 500, "MKT"], [positions(4), positions()])["resid_post.1"]
    base = values if values.base is None else values.base
    assert values.nbytes == esm.sites[0].width * 4
    assert getattr(base, "nbytes", values.nbytes) == values.nbytes


def test_a_sequence_beyond_the_position_table_is_refused_with_the_length_that_fits(
    model_folder: Callable[[str], Path],
) -> None:
    model = load_model(ModelRecipe(name=str(model_folder("bert"))), ["resid_post.0"])
    assert model.longest == 64
    assert model.activations(["M" * 62], [positions(61)])["resid_post.0"].shape == (1, 32)
    with pytest.raises(
        ModelError, match=r"positions for 64 tokens, and this input has 65.*'corpus.window_residues' to 62"
    ):
        model.activations(["M" * 63], [positions(0)])


def test_rotary_and_relative_positions_have_no_limit(model_folder: Callable[[str], Path]) -> None:
    for family in ("esm", "t5"):
        model = load_model(ModelRecipe(name=str(model_folder(family))), ["embed"])
        assert model.longest is None
        assert np.isfinite(model.activations(["MKTAYIAK" * 200], [positions(1599)])["embed"]).all()
