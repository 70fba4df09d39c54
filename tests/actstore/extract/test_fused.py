from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import EsmModel

from actstore.contracts.recipe import ModelRecipe
from actstore.extract.fused import fuse
from actstore.extract.model import load_model


def network_in(folder: Path, dtype: torch.dtype) -> EsmModel:
    return EsmModel.from_pretrained(folder, add_pooling_layer=False, dtype=dtype)


def states(network: EsmModel) -> tuple[torch.Tensor, ...]:
    tokens = torch.arange(4, 24).repeat(2, 3)
    with torch.inference_mode():
        hidden: tuple[torch.Tensor, ...] = network(tokens, output_hidden_states=True).hidden_states
    return hidden


def test_states_differ_by_the_last_bits_of_float32(esm2_tiny: Path) -> None:
    network = network_in(esm2_tiny, torch.float32)
    before = states(network)
    fuse(network)
    for layer, (fused, plain) in enumerate(zip(states(network), before, strict=True)):
        torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5, msg=f"layer {layer}")
    assert not all(torch.equal(*pair) for pair in zip(states(network), before, strict=True)), "nothing was fused"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_as_it_is(dtype: torch.dtype, esm2_tiny: Path) -> None:
    network = network_in(esm2_tiny, dtype)
    before = states(network)
    fuse(network)
    assert all(torch.equal(*pair) for pair in zip(states(network), before, strict=True))


def test_parameters_keep_their_names(esm2_tiny: Path) -> None:
    network = network_in(esm2_tiny, torch.float32)
    before = [name for name, _ in network.named_parameters()]
    fuse(network)
    assert [name for name, _ in network.named_parameters()] == before


def test_other_networks_of_the_same_class_are_not_touched(esm2_tiny: Path) -> None:
    other = network_in(esm2_tiny, torch.float32)
    before = states(other)
    load_model(ModelRecipe(name=str(esm2_tiny)), ["final_norm"])
    assert all(torch.equal(*pair) for pair in zip(states(other), before, strict=True))
