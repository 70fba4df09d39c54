"""Vectors inside JSON: base64 of little-endian floats, exact and a third of the size of decimals."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PlainSerializer, PlainValidator

__all__ = ["Vector32", "Vector64"]


def _decoder(dtype: str) -> PlainValidator:
    def decode(value: object) -> NDArray[Any]:
        if isinstance(value, np.ndarray):
            return value.astype(dtype)
        if not isinstance(value, str):
            raise ValueError("expected base64 text")  # noqa: TRY004 - what pydantic turns into its own error
        try:
            vector = np.frombuffer(base64.b64decode(value, validate=True), dtype=dtype)
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"not base64 of {dtype} numbers") from error
        if not np.isfinite(vector).all():
            raise ValueError("holds NaN or Inf")
        return vector

    return PlainValidator(decode, json_schema_input_type=str)


def _encoder(dtype: str) -> PlainSerializer:
    return PlainSerializer(lambda vector: base64.b64encode(vector.astype(dtype).tobytes()).decode(), return_type=str)


Vector32 = Annotated[NDArray[np.float32], _decoder("<f4"), _encoder("<f4")]
Vector64 = Annotated[NDArray[np.float64], _decoder("<f8"), _encoder("<f8")]
