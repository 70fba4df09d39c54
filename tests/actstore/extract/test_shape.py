from collections.abc import Callable

import pytest
import torch
import transformers

from actstore.contracts.models import Site
from actstore.contracts.recipe import ModelRecipe
from actstore.extract.families import architecture_for
from actstore.extract.known_models import known_model, needed_blocks
from actstore.extract.shape import network_shape

PROTT5 = transformers.T5Config(vocab_size=128, d_model=1024, d_kv=128, d_ff=16_384, num_layers=24, num_heads=32)


def esm2(blocks: int, width: int, heads: int) -> transformers.PreTrainedModel:
    config = transformers.EsmConfig(
        vocab_size=33, hidden_size=width, num_hidden_layers=blocks, num_attention_heads=heads,
        intermediate_size=4 * width, pad_token_id=1, position_embedding_type="rotary",
    )  # fmt: skip
    return transformers.EsmModel(config, add_pooling_layer=False)


NETWORKS: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    "facebook/esm2_t6_8M_UR50D": lambda: esm2(6, 320, 20),
    "facebook/esm2_t12_35M_UR50D": lambda: esm2(12, 480, 20),
    "facebook/esm2_t30_150M_UR50D": lambda: esm2(30, 640, 20),
    "facebook/esm2_t33_650M_UR50D": lambda: esm2(33, 1280, 20),
    "facebook/esm2_t36_3B_UR50D": lambda: esm2(36, 2560, 40),
    "facebook/esm2_t48_15B_UR50D": lambda: esm2(48, 5120, 40),
    "Rostlab/prot_t5_xl_uniref50": lambda: transformers.T5EncoderModel(PROTT5),
    "AI4PD/ZymCTRL": lambda: transformers.GPT2Model(
        transformers.GPT2Config(
            vocab_size=458, n_embd=1280, n_layer=36, n_head=20, n_positions=1024, bos_token_id=0, eos_token_id=0
        )
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_known_shapes_are_those_of_the_real_architectures(name: str) -> None:
    """Networks of the sizes in each `config.json`, without memory for their weights."""
    with torch.device("meta"):
        network = NETWORKS[name]()
    known = known_model(name)
    assert known is not None
    blocks = architecture_for(network.config.model_type, ModelRecipe(name=name)).blocks
    assert network_shape(network, blocks) == known.shape


def test_a_model_without_a_list_of_blocks_has_no_shape() -> None:
    network = esm2(1, 16, 2)
    assert network_shape(network, None) is None
    assert network_shape(network, "encoder.layer") is not None


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        (["embed"], 0),
        (["embed", "resid_post.0"], 1),
        (["resid_post.17", "resid_post.4"], 18),
        (["resid_post.4", "final_norm"], 36),
        (["encoder.layer.3.attention.self"], 36),
    ],
)
def test_a_pass_ends_after_its_last_site(names: list[str], blocks: int) -> None:
    assert needed_blocks([Site(name, "", 8) for name in names], 36) == blocks
