"""The encodings by name. Adding one is one file and one row here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from actstore.contracts.planes import Quantizer
from actstore.quantize.floats import BFloat16, Float16
from actstore.quantize.int4 import Int4
from actstore.quantize.int8 import Int8

__all__ = ["QUANTIZERS"]

QUANTIZERS: Final[MappingProxyType[str, Quantizer]] = MappingProxyType(
    {"float16": Float16(), "bfloat16": BFloat16(), "int8": Int8(), "int4": Int4()}
)
