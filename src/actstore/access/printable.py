"""Make text from other people safe to show: no control characters, no surrogates, no secrets, limited length."""

from __future__ import annotations

from typing import Final

from actstore.redaction import without_secrets

__all__ = ["is_plain", "printable"]

MOST_SHOWN: Final = 400


def is_plain(text: str, *, most: int = MOST_SHOWN) -> bool:
    r"""Return whether a name can be shown unchanged: not empty, printable, and not too long.

    Examples
    --------
    >>> is_plain("facebook/esm2_t6_8M_UR50D"), is_plain("\x1b[2J")
    (True, False)
    """
    return 0 < len(text) <= most and text.isprintable()


def printable(text: str, *, most: int | None = MOST_SHOWN, keep: str = "") -> str:
    r"""Return text without secrets, and with characters that a terminal would obey or cannot show as escapes.

    Parameters
    ----------
    text
        Any text.
    most
        Number of letters after which the text is cut; None for no limit.
    keep
        Characters that are kept, such as the end of a line.

    Examples
    --------
    >>> print(printable("site \x1b[2J\u202e"))
    site \x1b[2J\u202e
    >>> printable("A" * 1000, most=8)
    'AAAAAAAA... (1,000 letters)'
    """
    text = without_secrets(text)  # before it is cut: half a secret is not recognised
    shown = text if most is None else text[:most]
    if not shown.isprintable():
        shown = "".join(
            one if one in keep or one.isprintable() else one.encode("unicode_escape").decode() for one in shown
        )
    return shown if most is None or len(text) <= most else f"{shown}... ({len(text):,} letters)"
