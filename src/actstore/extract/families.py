"""Places of the sites in each model family: one literal table row for each `model_type`.

Every row is tested against `output_hidden_states=True` of its own model class, because the last hidden state
differs from the others (it has passed the final norm), and the first is taken after all modules of the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from actstore.contracts.recipe import ModelRecipe

__all__ = ["ARCHITECTURES", "Architecture", "architecture_for"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A model class of `transformers` and the module paths of its sites; None for places that it does not have."""

    model_class: str = "AutoModel"
    """Name in the `transformers` namespace."""
    blocks: str | None = None
    """The list of blocks; the output of block k is `resid_post.k`."""
    embed: str | None = None
    """Its output is the input of the first block, `hidden_states[0]`."""
    final_norm: str | None = None
    """Its output is `last_hidden_state`."""
    positions: str | None = None
    """An embedding of absolute positions, whose size bounds a forward pass; models with other positions lack it."""
    packs: bool = False
    """Whether several sequences may share a row, kept apart by a mask, which is faster on a GPU."""
    pooler_option: bool = False
    """Whether the class has a pooling layer to leave out (its weights are often missing and never needed)."""
    leaves_out: frozenset[str] = frozenset()
    """Modules of the published model that the class does not have, since none of its states depends on them."""


ARCHITECTURES: Final[dict[str, Architecture]] = {
    "esm": Architecture(
        model_class="EsmModel",
        blocks="encoder.layer",
        embed="embeddings",
        final_norm="encoder.emb_layer_norm_after",
        positions="embeddings.position_embeddings",
        packs=True,
        pooler_option=True,
    ),
    # The encoder calls its own `embed_tokens`, tied to `shared`, which is a separate module from transformers 5 on.
    "t5": Architecture(
        model_class="T5EncoderModel",
        blocks="encoder.block",
        embed="encoder.embed_tokens",
        final_norm="encoder.final_layer_norm",
        leaves_out=frozenset({"decoder"}),
    ),
    # BERT normalises inside its blocks: the last block's output is the last hidden state, so there is no `final_norm`.
    "bert": Architecture(
        model_class="BertModel",
        blocks="encoder.layer",
        embed="embeddings",
        positions="embeddings.position_embeddings",
        pooler_option=True,
    ),
    # The dropout comes after the sum of token and position embeddings and does nothing at inference.
    "gpt2": Architecture(model_class="GPT2Model", blocks="h", embed="drop", final_norm="ln_f", positions="wpe"),
    "gpt_neox": Architecture(
        model_class="GPTNeoXModel", blocks="layers", embed="embed_in", final_norm="final_layer_norm"
    ),
    "llama": Architecture(model_class="LlamaModel", blocks="layers", embed="embed_tokens", final_norm="norm"),
}


def architecture_for(model_type: str, recipe: ModelRecipe) -> Architecture:
    """Return the row of a model type; module paths in the recipe replace those of the table.

    A type without a row is loaded by `AutoModel`. Its sites are those that the recipe names, and module paths.
    """
    row = ARCHITECTURES.get(model_type, Architecture())
    return replace(
        row,
        blocks=recipe.blocks or row.blocks,
        embed=recipe.embed or row.embed,
        final_norm=recipe.final_norm or row.final_norm,
    )
