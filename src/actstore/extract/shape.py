"""A loaded network -> the shape that decides what its forward pass costs."""

from __future__ import annotations

import transformers
from torch import nn

from actstore.budget.transformer import TransformerShape

__all__ = ["network_shape"]


def network_shape(network: transformers.PreTrainedModel, blocks_path: str | None) -> TransformerShape | None:
    """Count the weights of a network's blocks; None if the path of their list is not known.

    Blocks that differ count with their mean. Embeddings inside blocks (T5's relative positions) are looked up, not
    multiplied, and do not count.
    """
    if blocks_path is None:
        return None
    blocks = list(network.get_submodule(blocks_path).children())
    if not blocks:
        return None
    weights = sum(_matrix_weights(block) for block in blocks)
    return TransformerShape(len(blocks), weights // len(blocks), _attention_width(network.config))


def _matrix_weights(block: nn.Module) -> int:
    looked_up = {
        id(parameter)
        for module in block.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    return sum(
        parameter.numel() for parameter in block.parameters() if parameter.ndim >= 2 and id(parameter) not in looked_up
    )


def _attention_width(config: transformers.PretrainedConfig) -> int:
    heads = int(config.num_attention_heads)
    for name in ("d_kv", "head_dim"):
        head = getattr(config, name, None)
        if head:
            return heads * int(head)
    return int(config.hidden_size)
