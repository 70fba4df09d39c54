"""`clt-jumprelu`: a cross-layer transcoder with a learned threshold for each latent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from trainers.dictionaries.codes.jumprelu import JumpReluDictionary
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.shapes.cross_layer import CrossLayer

__all__ = ["CltJumpRelu"]


class CltJumpRelu(CrossLayer, JumpReluDictionary):
    """JumpReLU cross-layer transcoder (Ameisen et al. 2025, whose penalty is ``tanh``).

    Parameters
    ----------
    l0_target
        For each layer, on average: the penalty is relative to this times the number of layers.
    """

    def __init__(self, shape: Shape, **of_code: Any) -> None:  # noqa: ANN401 - any option of the code
        layers = len(shape.read)
        target = of_code.get("l0_target", JumpReluDictionary.options["l0_target"])
        super().__init__(shape, **of_code | {"l0_target": layers * target})

    def price_F(self) -> Tensor:
        """Return ``||W_dec[i]||`` of each latent."""
        return self.whole_norm_F()
