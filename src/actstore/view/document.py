"""Reports to plain data, for `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actstore.redaction import without_secrets

__all__ = ["plain", "to_json"]


def plain(value: object) -> Any:  # noqa: ANN401 - JSON has no type
    """Turn named tuples into dictionaries, also nested ones, and hide secrets in texts.

    Examples
    --------
    >>> from typing import NamedTuple
    >>> class Point(NamedTuple):
    ...     x: int
    >>> plain({"here": [Point(1)]})
    {'here': [{'x': 1}]}
    """
    fields = getattr(value, "_fields", None)
    if fields is not None:
        return {name: plain(getattr(value, name)) for name in fields}
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def to_json(report: object) -> str:
    """Return a report as one JSON document."""
    return json.dumps(plain(report), indent=2, allow_nan=False)
