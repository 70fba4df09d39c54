"""Documents with vectors: base64 of little-endian floats, exact and a third of the size of decimals."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator

from actstore.store.format.canonical import canonical_json

__all__ = ["Document", "Vector32", "Vector64"]


def _decoder(dtype: str) -> PlainValidator:
    def decode(value: object) -> NDArray[Any]:
        if isinstance(value, np.ndarray):
            vector = value.astype(dtype)
        elif isinstance(value, str):
            try:
                vector = np.frombuffer(base64.b64decode(value, validate=True), dtype=dtype)
            except (binascii.Error, ValueError) as error:
                raise ValueError(f"not base64 of {dtype} numbers") from error
        else:
            raise ValueError("expected base64 text")  # noqa: TRY004 - what pydantic turns into its own error
        if not np.isfinite(vector).all():
            raise ValueError("holds NaN or Inf")
        return vector

    return PlainValidator(decode, json_schema_input_type=str)


def _encoder(dtype: str) -> PlainSerializer:
    return PlainSerializer(lambda vector: base64.b64encode(vector.astype(dtype).tobytes()).decode(), return_type=str)


Vector32 = Annotated[NDArray[np.float32], _decoder("<f4"), _encoder("<f4")]
Vector64 = Annotated[NDArray[np.float64], _decoder("<f8"), _encoder("<f8")]


class Document(BaseModel):
    """A strict and frozen part of a recipe or manifest. Two are equal if their JSON is equal."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._canonical() == other._canonical()

    def __hash__(self) -> int:
        return hash(self._canonical())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a changed copy, which computes its own digests."""
        copy = super().model_copy(update=update, deep=deep)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy

    def _canonical(self) -> bytes:
        return canonical_json(self.model_dump(mode="json"))
