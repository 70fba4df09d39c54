"""Sizes of the public protein language models, so that planning needs neither weights nor network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from actstore.budget.transformer import TransformerShape, transformer_shape
from actstore.contracts.models import Site
from actstore.extract.families import ARCHITECTURES
from actstore.extract.sites import available_sites, resolve_sites

__all__ = ["KNOWN_MODELS", "KnownModel", "known_model", "known_sites", "needed_blocks"]


class KnownModel(NamedTuple):
    """A public model, from the `config.json` of its repository."""

    model_type: str
    width: int
    """Features D of the residual stream."""
    special_tokens: int
    """Tokens that its tokenizer adds to every sequence."""
    shape: TransformerShape


def _esm2(blocks: int, width: int) -> KnownModel:
    return KnownModel("esm", width, 2, transformer_shape(blocks, width))


# The encoder of T5-3B: 32 heads of 128 channels, so that attention is four times as wide as the residual stream.
_PROTT5_XL: Final = KnownModel("t5", 1024, 1, transformer_shape(24, 1024, attention_width=4096, feed_forward=16_384))
# A GPT-2 with the blocks of gpt2-large, and a token for each residue.
_ZYMCTRL: Final = KnownModel("gpt2", 1280, 0, transformer_shape(36, 1280))

_KNOWN: Final[dict[str, KnownModel]] = {
    "facebook/esm2_t6_8M_UR50D": _esm2(6, 320),
    "facebook/esm2_t12_35M_UR50D": _esm2(12, 480),
    "facebook/esm2_t30_150M_UR50D": _esm2(30, 640),
    "facebook/esm2_t33_650M_UR50D": _esm2(33, 1280),
    "facebook/esm2_t36_3B_UR50D": _esm2(36, 2560),
    "facebook/esm2_t48_15B_UR50D": _esm2(48, 5120),
    "Rostlab/prot_t5_xl_uniref50": _PROTT5_XL,
    "Rostlab/prot_t5_xl_half_uniref50-enc": _PROTT5_XL,
    "Rostlab/prot_t5_xl_bfd": _PROTT5_XL,
    "AI4PD/ZymCTRL": _ZYMCTRL,
}
KNOWN_MODELS: Final = tuple(_KNOWN)
"""Names of the public models."""


def known_model(model_name: str) -> KnownModel | None:
    """Return the sizes of a model if its name is in the table, else None."""
    return _KNOWN.get(model_name)


def needed_blocks(sites: Sequence[Site], blocks: int) -> int:
    """Return the number of blocks that run: the pass ends after the last site.

    For a site given by its module path, all blocks are counted.

    Examples
    --------
    >>> needed_blocks([Site("embed", "embeddings", 8), Site("resid_post.17", "encoder.layer.17", 8)], 36)
    18
    """
    return max(_blocks_before(site.name, blocks) for site in sites)


def _blocks_before(site: str, blocks: int) -> int:
    kind, _, number = site.partition(".")
    if kind == "resid_post" and number.isdecimal():
        return int(number) + 1
    return 0 if site == "embed" else blocks


def known_sites(model_name: str, requested: Sequence[str]) -> tuple[Site, ...] | None:
    """Return the sites of a recipe, or None if the model is not in the table.

    Raises
    ------
    SiteError
        If the model is known and has no such site. Module paths inside blocks need the model itself.

    Examples
    --------
    >>> known_sites("Rostlab/prot_t5_xl_uniref50", ["resid_post.2[23]"])[-1]
    Site(name='resid_post.23', module='encoder.block.23', width=1024)
    """
    known = known_model(model_name)
    if known is None:
        return None
    architecture = ARCHITECTURES[known.model_type]
    numbered = (f"{architecture.blocks}.{block}" for block in range(known.shape.blocks))
    named = (architecture.embed, *numbered, architecture.final_norm)
    offer = available_sites(architecture, [path for path in named if path is not None])
    return tuple(Site(site.name, site.module, known.width) for site in resolve_sites(requested, offer))
