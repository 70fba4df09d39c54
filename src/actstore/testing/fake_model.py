"""An `ActivationModel` without a network: cheap, deterministic, and shaped like a protein language model."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.hashing import UInt64s, draws, hash_text, uniform
from actstore.contracts.models import ModelFacts, ResidueTokenizer, Site
from actstore.contracts.planes import Float32s
from actstore.errors import TokenizerError

__all__ = ["FakeModel"]

OUTLIER_SCALE: Final = 50.0
"""Outlier channels of protein language models are about this much larger than the rest."""
_LETTERS: Final = "ABCDEFGHIKLMNOPQRSTUVWXYZ"
_FIRST_TOKEN: Final = 4


class FakeModel:
    """Activations as a pure function of site, residue, and all residues to the left of it in the window.

    Each row is a vector for the residue letter plus one for the left context, both from keyed hashes, uniform in
    [-1, 1] and [-0.5, 0.5]. A few channels are `OUTLIER_SCALE` times larger. Results are the same on every machine.

    Parameters
    ----------
    sites
        Names of the sites, in the order in which they are stored.
    width
        Features D of every site.
    outliers
        Channels of each site that are `OUTLIER_SCALE` times larger.
    seed
        Another seed gives another model, with another weights digest in its facts.

    Examples
    --------
    >>> model = FakeModel(sites=["embed"], width=8)
    >>> rows = model.activations(["MKT", "MKV"], [np.array([0, 2]), np.array([0, 2])])["embed"]
    >>> bool((rows[0] == rows[2]).all()), bool((rows[1] == rows[3]).all())
    (True, False)
    """

    def __init__(
        self,
        *,
        sites: Sequence[str] = ("embed", "resid_post.0", "resid_post.1", "final_norm"),
        width: int = 16,
        outliers: int = 1,
        seed: int = 0,
    ) -> None:
        self._sites = tuple(Site(name, module=f"fake.{name}", width=width) for name in sites)
        token_of = np.full(256, -1, dtype=np.int32)
        for index, letter in enumerate(_LETTERS):
            token_of[ord(letter)] = _FIRST_TOKEN + index
        self._tokenizer = ResidueTokenizer(token_of, prefix=(0,), suffix=(2,), pad=1)
        self._facts = ModelFacts(
            name="fake",
            revision=None,
            architecture="FakeModel",
            weights_sha256=hashlib.sha256(f"FakeModel {width} {outliers} {seed}".encode()).hexdigest(),
            dtype="float32",
            parameters=0,
        )
        self._keys = {name: hash_text(f"fake activations, seed {seed}, site {name}") for name in sites}
        self._outliers = outliers

    @property
    def facts(self) -> ModelFacts:
        """Facts of the model that a store records."""
        return self._facts

    @property
    def tokenizer(self) -> ResidueTokenizer:
        """A tokenizer with the alphabet of ESM-2: every letter but J, between a start and an end token."""
        return self._tokenizer

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites."""
        return self._sites

    def only(self, sites: Collection[str]) -> Self:
        """Return the same model with some of its sites, by name."""
        other = copy.copy(self)
        other._sites = tuple(site for site in self._sites if site.name in sites)  # noqa: SLF001 - our own
        return other

    @property
    def most_tokens(self) -> int | None:
        """None: no limit."""
        return None

    @property
    def pack_tokens(self) -> None:
        """None: every sequence has a row of its own."""
        return None

    @property
    def device_rows(self) -> None:
        """None: it computes in the memory of the host."""
        return None

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        """Return the rows of the kept residues; see `ActivationModel`."""
        letters, contexts = [], []
        for sequence, positions in zip(residues, kept, strict=True):
            token_L = self._tokenizer.tokens(sequence)
            if (token_L < 0).any():
                raise TokenizerError(f"{sequence!r} has letters outside {''.join(sorted(self._tokenizer.alphabet))}")
            letters.append(token_L[positions].astype(np.uint64))
            contexts.append(_left_context(token_L)[positions])
        letter_N = np.concatenate([np.empty(0, dtype=np.uint64), *letters])
        context_N = np.concatenate([np.empty(0, dtype=np.uint64), *contexts])
        return {site.name: self._rows(site, letter_N, context_N) for site in self._sites}

    def _rows(self, site: Site, letter_N: UInt64s, context_N: UInt64s) -> Float32s:
        key = self._keys[site.name]
        counter_D = np.arange(1, site.width + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        letter_ND = 2.0 * uniform(key, letter_N[:, None] ^ counter_D) - 1.0
        context_ND = uniform(key, context_N[:, None] ^ counter_D) - 0.5
        channel_D = np.ones(site.width)
        loudest_first_D = np.argsort(draws(key, counter_D), kind="stable")
        channel_D[loudest_first_D[: self._outliers]] = OUTLIER_SCALE
        return ((letter_ND + context_ND) * channel_D).astype(np.float32)


def _left_context(token_L: NDArray[np.int32]) -> UInt64s:
    """Return a hash of each residue and all before it: running sums of draws of (position, token)."""
    position_L = np.arange(len(token_L), dtype=np.uint64)
    return np.cumsum(draws(0, position_L * np.uint64(256) + token_L.astype(np.uint64)), dtype=np.uint64)
