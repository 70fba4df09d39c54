"""Text that somebody else wrote, fit to be shown: no control characters, no surrogates, not too long."""

from __future__ import annotations

from typing import Final

__all__ = ["is_plain", "printable"]

MOST_SHOWN: Final = 400


def is_plain(text: str, *, most: int = MOST_SHOWN) -> bool:
    r"""Return whether a name can be shown as it is: not empty, printable, and at most so long.

    Examples
    --------
    >>> is_plain("facebook/esm2_t6_8M_UR50D"), is_plain("\x1b[2J")
    (True, False)
    """
    return 0 < len(text) <= most and text.isprintable()


def printable(text: str, *, most: int | None = MOST_SHOWN, keep: str = "") -> str:
    r"""Return text with everything that a terminal would obey, or cannot show, written as an escape.

    Parameters
    ----------
    text
        Any text.
    most
        Letters after which the rest is left out; None leaves out nothing.
    keep
        Characters that stay as they are, such as the end of a line.

    Examples
    --------
    >>> print(printable("site \x1b[2J\u202e"))
    site \x1b[2J\u202e
    >>> printable("A" * 1000, most=8)
    'AAAAAAAA... (1,000 letters)'
    """
    shown = text if most is None else text[:most]
    if not shown.isprintable():
        shown = "".join(
            one if one in keep or one.isprintable() else one.encode("unicode_escape").decode() for one in shown
        )
    return shown if most is None or len(text) <= most else f"{shown}... ({len(text):,} letters)"
