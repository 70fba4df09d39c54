"""What is known about a trained dictionary: `dictionary.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "DICTIONARY_FORMAT",
    "Activation",
    "DictionaryFacts",
    "ModelFacts",
    "Provenance",
    "RowTransform",
    "SiteFacts",
]

DICTIONARY_FORMAT: Final = "actstore-dictionary/1"
_MOST: Final = 1 << 40

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
RowTransform = Literal["none", "row-zscore", "row-sqrt-d"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class SiteFacts(_Record):
    """One site that a dictionary reads."""

    name: str
    module: str | None
    """Path of the module whose output it is, as in `named_modules()`; None if it is not known."""
    width: int = Field(ge=1, le=_MOST)


class ModelFacts(_Record):
    """The model whose activations a dictionary reads."""

    name: str
    revision: str | None = None
    dtype: str | None = None
    """Number format in which it ran."""
    weights_sha256: str | None = None
    """As `model.weights_sha256` of a manifest; None if it is not known."""

    @property
    def public_name(self) -> str:
        """Its name; of a local folder only the folder's own name, since nobody else has its path."""
        return Path(self.name).name or self.name if Path(self.name).is_absolute() else self.name


class Provenance(_Record):
    """Where a dictionary comes from: what our exports keep in the configuration of another format."""

    model: ModelFacts | None
    sites: tuple[SiteFacts, ...] = Field(min_length=1)
    input_scale: tuple[Annotated[float, Field(gt=0)], ...] | None = None
    """As `DictionaryFacts.input_scale`: the weights have it."""
    manifests: tuple[_Digest, ...] = ()
    training: dict[str, Any] | None = None
    metrics: dict[str, Any] = Field(default_factory=dict)
    licence: str | None = None
    citation: str | None = None
    origin: str | None = None


class Activation(_Record):
    """How pre-activations become a code.

    ``topk`` keeps relu(pre) of the K latents of a row that rank highest, by ``relu(pre) * rank``; ``relu`` keeps all;
    ``jumprelu`` keeps relu(pre) where ``pre * rank > threshold``, strictly. A dictionary without `rank` ranks by 1.
    """

    name: Literal["topk", "relu", "jumprelu"]
    k: int | None = Field(default=None, ge=1, le=_MOST)
    """K of ``topk``."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.name == "topk") != (self.k is not None):
            raise ValueError(f"activation {self.name} with k = {self.k}")
        return self


class DictionaryFacts(_Record):
    """Contents of `dictionary.json`."""

    format: Literal["actstore-dictionary/1"] = DICTIONARY_FORMAT
    dictionary: str
    """Its kind, such as `topk-sae`."""
    sites: tuple[SiteFacts, ...] = Field(min_length=1)
    """In the order of axis S."""
    latents: int = Field(ge=1, le=_MOST)
    activation: Activation
    subtracts_b_dec: bool
    """Whether b_dec is subtracted from rows before they are encoded."""
    row_transform: RowTransform = "none"
    """What is done to each row and site before it is encoded, and undone after it is decoded."""
    input_scale: tuple[Annotated[float, Field(gt=0)], ...]
    """Factor of each site in training; the weights have it already."""
    model: ModelFacts | None
    """None if it is not known."""
    manifests: tuple[_Digest, ...] = ()
    """Digests of the manifests of the stores whose rows it was trained on."""
    training: dict[str, Any] | None = None
    """Plan, steps and rows; None if they are not known."""
    imported: dict[str, Any] | None = None
    """Of a dictionary that another library trained: format, digests of the files, configuration, and what was changed.
    """
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Results on held-out rows, as in `result.json`."""
    licence: str | None = None
    citation: str | None = None
    origin: str
    """Who trained it, and from which files it was read."""
    tensors_sha256: _Digest | None = None
    """Digest of `dictionary.safetensors`; None before it is written."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({site.width for site in self.sites}) != 1:
            raise ValueError("sites of different width")
        if len(self.sites) != len(self.input_scale):
            raise ValueError(f"{len(self.sites)} sites, {len(self.input_scale)} input scales")
        if self.activation.k is not None and self.activation.k > self.latents:
            raise ValueError(f"{self.activation.k} of {self.latents} latents cannot be kept")
        return self

    @property
    def public(self) -> Self:
        """The same without the path of the model on this machine: what is written for others."""
        if self.model is None or self.model.public_name == self.model.name:
            return self
        model = self.model.model_copy(update={"name": self.model.public_name})
        return self.model_copy(update={"model": model})

    @property
    def width(self) -> int:
        """Features D of each site."""
        return self.sites[0].width
