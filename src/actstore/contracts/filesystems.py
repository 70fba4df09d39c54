"""What the file systems behind fsspec raise when something is wrong, as far as it is not an OSError."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["backend_errors", "describe_error"]

_NOT_OSERRORS: Final = (
    ("botocore.exceptions", ("BotoCoreError", "ClientError")),
    ("aiohttp", ("ClientError",)),
)
"""Modules of S3, GCS and HTTP file systems, and the bases of what they raise."""


def backend_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean "the storage failed": OSError, and those of the back ends that are loaded.

    A back end that is not loaded cannot have raised anything, so none is imported here.
    """
    found: list[type[Exception]] = [OSError]
    for module, names in _NOT_OSERRORS:
        if module in sys.modules:
            found += [getattr(sys.modules[module], name) for name in names]
    return tuple(found)


def describe_error(error: Exception) -> str:
    """Return one line for a message, with the way out where the kind of error tells it."""
    text = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__ in {"NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}:
        return f"{text}; set them in the environment or a profile, or read anonymously with --storage-option anon=true"
    return text
