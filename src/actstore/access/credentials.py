"""Keep credentials out of stored URLs and out of messages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from actstore.errors import UsageError

__all__ = ["HIDDEN", "refuse_credentials", "secrets_among", "without_secrets"]

HIDDEN: Final = "(hidden)"
_USERINFO: Final = re.compile(r"(?<=://)[^/?#\s]*@")
_SIGNATURE: Final = re.compile(
    r"(?i)([?&][^=&\s]*(?:signature|token|credential|key|secret|password|sig)[^=&\s]*=)[^&\s\"']+"
)
_SECRET_NAME: Final = re.compile(r"(?i)secret|token|passw|access_key|private_key|(?:^|_)key$")
_SHORTEST_SECRET: Final = 8
"""Shorter values are not secrets, and would hide ordinary words in messages."""


def refuse_credentials(url: str) -> None:
    """Refuse a URL that holds a password or a signature.

    URLs are written into recipes, manifests and messages.

    Raises
    ------
    UsageError
        Its message shows the URL without them.
    """
    userinfo = _USERINFO.search(url)
    if (userinfo is not None and ":" in userinfo[0]) or _SIGNATURE.search(url):
        raise UsageError(
            f"{without_secrets(url)}: a URL with credentials would end up in manifests and messages; give them with "
            "--storage-option, in the environment or in a profile"
        )


def secrets_among(options: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the values of storage options and of the environment that must stay secret, longest first."""
    found = {text for name, text in (*_texts(options or {}), *os.environ.items()) if _SECRET_NAME.search(name)}
    return tuple(sorted((text for text in found if len(text) >= _SHORTEST_SECRET), key=len, reverse=True))


def without_secrets(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return text without passwords and signatures in URLs, and without the given secrets.

    Examples
    --------
    >>> without_secrets("cannot connect to http://me:hush@localhost/x?X-Amz-Signature=1f2e")
    'cannot connect to http://(hidden)@localhost/x?X-Amz-Signature=(hidden)'
    """
    text = _SIGNATURE.sub(rf"\g<1>{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _texts(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of text options, also of nested ones."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _texts(value)
        elif isinstance(value, str):
            yield str(name), value
