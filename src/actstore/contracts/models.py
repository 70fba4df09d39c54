"""The protocol of a model for extraction: named sites, a tokenizer, and rows from residues."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s

__all__ = ["ActivationModel", "DeviceRows", "ModelFacts", "ResidueTokenizer", "Site"]


class Site(NamedTuple):
    """A named place in a model."""

    name: str
    """`embed`, `resid_post.7`, `final_norm`, or a module path."""
    module: str
    """Path of the module whose output it is, as in `named_modules()`."""
    width: int
    """Features D."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Recorded facts of a model, enough to identify it."""

    # Pydantic before 2.14 does not hand down the strictness of the document that holds a dataclass, or its docstring.
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "json_schema_extra": {"description": __doc__},
    }

    name: str
    revision: str | None
    """Commit on the hub; None for a local folder."""
    architecture: str
    """Class of `transformers` that ran, such as `EsmModel`."""
    weights_sha256: str
    """SHA-256 over the names, dtypes, shapes and bytes of the loaded parameters."""
    dtype: str
    parameters: int


@dataclass(frozen=True, slots=True, eq=False)
class ResidueTokenizer:
    """A tokenizer that maps residues to tokens one to one, as a lookup table."""

    token_of: NDArray[np.int32]
    """[256], by ASCII code of the residue; -1 outside the alphabet."""
    prefix: tuple[int, ...]
    """Special tokens before the residues."""
    suffix: tuple[int, ...]
    """Special tokens after the residues."""
    pad: int

    @property
    def alphabet(self) -> frozenset[str]:
        """Letters that may occur in a sequence."""
        return frozenset(chr(code) for code in np.flatnonzero(self.token_of >= 0))

    @property
    def special_tokens(self) -> int:
        """Tokens added to every sequence."""
        return len(self.prefix) + len(self.suffix)

    def tokens(self, residues: str) -> NDArray[np.int32]:
        """Return the token of each residue, without special tokens: int32 [len(residues)]."""
        return self.token_of[np.frombuffer(residues.encode("ascii"), dtype=np.uint8)]


class DeviceRows(Protocol):
    """Memory of the device that a model computes on, for rows that are encoded before they come to the host.

    Encoded rows are a quarter of the bytes, and a device encodes them quickly.
    """

    def allocate(self, rows: int) -> dict[str, Any]:
        """Return an uninitialised float32 tensor [N, D] for each site.

        Raises
        ------
        ModelError
            If the device has no room for them.
        """
        ...

    def fill(
        self,
        residues: Sequence[str],
        kept: Sequence[NDArray[np.int32]],
        into: Mapping[str, Any],
        place_n: NDArray[np.int64],
    ) -> None:
        """Run one forward pass, as `ActivationModel.activations`, and write its rows to these places in `into`."""
        ...


class ActivationModel(Protocol):
    """A pinned model with the requested sites. `testing.FakeModel` is the second implementation."""

    @property
    def facts(self) -> ModelFacts:
        """Recorded facts of the model."""
        ...

    @property
    def tokenizer(self) -> ResidueTokenizer:
        """The tokenizer."""
        ...

    @property
    def sites(self) -> tuple[Site, ...]:
        """The captured sites, in the order in which they are stored."""
        ...

    def only(self, sites: Collection[str]) -> ActivationModel:
        """Return the same model with some of its sites, by name; a forward pass ends after the last of them."""
        ...

    @property
    def most_tokens(self) -> int | None:
        """Tokens of a forward pass, padding included, above which passes are not faster; None for no limit."""
        ...

    @property
    def pack_tokens(self) -> int | None:
        """Tokens of the rows that several sequences share in a forward pass; None if each sequence has its own row."""
        ...

    @property
    def device_rows(self) -> DeviceRows | None:
        """Device memory where rows may stay until they are encoded; None for a model that runs on the host."""
        ...

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        """Run one forward pass and return the rows of the kept residues.

        Parameters
        ----------
        residues
            B sequences (or windows of sequences).
        kept
            For each, the 0-based positions of the residues wanted, within that string.

        Returns
        -------
        dict
            For each site float32 [sum(len(k) for k in kept), D], in the order of `residues`, then `kept`.
        """
        ...
