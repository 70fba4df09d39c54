"""Floating-point operations of a forward pass.

A product of a matrix of W weights with one vector is W multiplications and W additions, so a token costs 2 FLOP for
each weight of its blocks. In attention, each token is combined with every token of its window twice, in the scores and
in the weighted sum: 4 FLOP for each pair and each channel of all heads together. These are the terms of Kaplan et al.
(2020, arXiv:2001.08361, table 1), attention as in Chowdhery et al. (2022, arXiv:2204.02311, appendix B).
Embeddings, norms, biases and softmax are left out: less than 1 % in the models of the field.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TransformerShape", "transformer_shape"]


class TransformerShape(NamedTuple):
    """Facts that determine the cost of a forward pass."""

    blocks: int
    block_weights: int
    """Weights of the matrices of one block."""
    attention_width: int
    """Channels of all attention heads together."""

    def forward_flops(self, *, tokens: float, token_pairs: float, blocks: int) -> float:
        """Return the FLOP of forward passes through the first blocks.

        Parameters
        ----------
        tokens
            Tokens, special ones and padding included.
        token_pairs
            Sum of the squared lengths of the padded windows.
        blocks
            Number of blocks that run: the pass ends after the last site.

        Examples
        --------
        One protein of 512 residues and its end token through ProtT5-XL, 2.6 GFLOP a residue:

        >>> shape = transformer_shape(24, 1024, attention_width=4096, feed_forward=16_384)
        >>> f"{shape.forward_flops(tokens=513, token_pairs=513**2, blocks=24):.3g}"
        '1.34e+12'
        """
        return blocks * (2.0 * self.block_weights * tokens + 4.0 * self.attention_width * token_pairs)


def transformer_shape(
    blocks: int, width: int, *, attention_width: int | None = None, feed_forward: int | None = None
) -> TransformerShape:
    """Return the shape of a stack of blocks with four attention matrices and two of a feed-forward network.

    Parameters
    ----------
    blocks, width
        Number of blocks, and features D of the residual stream.
    attention_width
        Channels of all heads together; None for D.
    feed_forward
        Width of the hidden layer; None for 4 D.

    Examples
    --------
    >>> transformer_shape(6, 320)
    TransformerShape(blocks=6, block_weights=1228800, attention_width=320)
    """
    heads, hidden = attention_width or width, feed_forward or 4 * width
    return TransformerShape(blocks, 4 * width * heads + 2 * width * hidden, heads)
