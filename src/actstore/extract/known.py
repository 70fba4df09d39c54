"""Sizes of the public protein language models, so that planning needs neither weights nor network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actstore.contracts.models import Site
from actstore.extract.families import ARCHITECTURES
from actstore.extract.sites import available_sites, resolve_sites

__all__ = ["known_sites"]

_SIZES: Final[dict[str, tuple[str, int, int]]] = {
    "facebook/esm2_t6_8M_UR50D": ("esm", 6, 320),
    "facebook/esm2_t12_35M_UR50D": ("esm", 12, 480),
    "facebook/esm2_t30_150M_UR50D": ("esm", 30, 640),
    "facebook/esm2_t33_650M_UR50D": ("esm", 33, 1280),
    "facebook/esm2_t36_3B_UR50D": ("esm", 36, 2560),
    "facebook/esm2_t48_15B_UR50D": ("esm", 48, 5120),
    "Rostlab/prot_t5_xl_uniref50": ("t5", 24, 1024),
    "Rostlab/prot_t5_xl_half_uniref50-enc": ("t5", 24, 1024),
    "Rostlab/prot_t5_xl_bfd": ("t5", 24, 1024),
}
"""Model type, blocks and width, from the `config.json` of each repository."""


def known_sites(model_name: str, requested: Sequence[str]) -> tuple[Site, ...] | None:
    """Return the sites that a recipe asks for, or None if the model is not one of the table.

    Raises
    ------
    SiteError
        If the model is known and has no such site. Module paths inside blocks need the model itself.

    Examples
    --------
    >>> known_sites("Rostlab/prot_t5_xl_uniref50", ["resid_post.2[23]"])[-1]
    Site(name='resid_post.23', module='encoder.block.23', width=1024)
    """
    if model_name not in _SIZES:
        return None
    model_type, blocks, width = _SIZES[model_name]
    architecture = ARCHITECTURES[model_type]
    numbered = (f"{architecture.blocks}.{block}" for block in range(blocks))
    named = (architecture.embed, *numbered, architecture.final_norm)
    offer = available_sites(architecture, [path for path in named if path is not None])
    return tuple(Site(site.name, site.module, width) for site in resolve_sites(requested, offer))
