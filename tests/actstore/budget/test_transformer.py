import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from actstore.budget.transformer import TransformerShape, transformer_shape


def test_a_forward_pass_costs_what_a_profiler_counts() -> None:
    """PyTorch's own counter on a GPT-2 of two blocks, attention as two matrix products."""
    config = transformers.GPT2Config(
        vocab_size=32, n_embd=64, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0
    )  # fmt: skip
    network = transformers.GPT2Model._from_config(config, attn_implementation="eager")  # type: ignore[no-untyped-call]
    tokens = torch.zeros((3, 40), dtype=torch.long)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(tokens)
    shape = transformer_shape(2, 64)
    assert shape.forward_flops(tokens=120, token_pairs=3 * 40**2, blocks=2) == counter.get_total_flops()


def test_the_pass_ends_after_the_blocks_that_are_needed() -> None:
    shape = transformer_shape(36, 2560)
    whole = shape.forward_flops(tokens=1000, token_pairs=1e6, blocks=36)
    assert shape.forward_flops(tokens=1000, token_pairs=1e6, blocks=18) == whole / 2
    assert shape.forward_flops(tokens=1000, token_pairs=1e6, blocks=0) == 0


def test_attention_grows_with_the_square_of_the_length() -> None:
    shape = TransformerShape(blocks=1, block_weights=0, attention_width=10)
    one, two = (shape.forward_flops(tokens=n, token_pairs=n**2, blocks=1) for n in (100, 200))
    assert two == pytest.approx(4 * one)


def test_the_encoder_of_prott5_xl_has_1_2_billion_weights() -> None:
    shape = transformer_shape(24, 1024, attention_width=4096, feed_forward=16_384)
    assert shape.blocks * shape.block_weights == 1_207_959_552
