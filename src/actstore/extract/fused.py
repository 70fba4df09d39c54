"""One torch operation for several steps of a network: the same function with less memory traffic."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.esm.modeling_esm import EsmIntermediate

__all__ = ["fuse"]


class _FusedIntermediate(EsmIntermediate):
    """The first half of ESM's feed-forward layer, with GELU as one operation.

    `transformers` writes ``x * 0.5 * (1 + erf(x / sqrt(2)))`` (Hendrycks & Gimpel, 2016) as five operations, each of
    which reads and writes the widest states of the model (docs/decisions/0012).
    """

    def forward(self, hidden_states: Tensor) -> Tensor:
        return functional.gelu(self.dense(hidden_states))


def fuse(network: nn.Module) -> None:
    """Make a network faster in place; its outputs differ in the last bits of float32.

    Networks in half precision are not changed: there every step rounds, and one operation would round differently.
    """
    for module in network.modules():
        if type(module) is EsmIntermediate and module.dense.weight.dtype == torch.float32:
            module.__class__ = _FusedIntermediate
