"""Canonical JSON and digests: documents of equal content have equal bytes and equal digests."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

__all__ = ["canonical_json", "sha256_hex"]


def canonical_json(document: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return a document in the canonical form of RFC 8785, which any language can compute.

    Raises
    ------
    ValueError
        If it holds NaN, infinity, an integer beyond ``2**53 - 1``, or text that is not Unicode.

    Examples
    --------
    >>> canonical_json({"b": 1.0, "a": [1e-7, "é", None]}).decode()
    '{"a":[1e-7,"é",null],"b":1}'
    """
    return rfc8785.dumps(document)


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
