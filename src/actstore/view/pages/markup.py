"""HTML from parts: text is escaped wherever it comes from, and only what was built here is markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from actstore.access.printable import MOST_SHOWN, printable

__all__ = ["Markup", "element", "joined", "markup"]

_VOID: Final = {"input", "link", "meta"}


class Markup(str):
    """HTML that may be put into a page as it is."""

    __slots__ = ()


def markup(content: str, *, most: int | None = MOST_SHOWN) -> Markup:
    r"""Return text as HTML: escaped, without secrets and control characters, and cut after `most` letters.

    Examples
    --------
    >>> markup("<b>"), markup(Markup("<b>")), markup("\u202ex")
    ('&lt;b&gt;', '<b>', '\\u202ex')
    """
    return content if isinstance(content, Markup) else Markup(escape(printable(content, most=most, keep="\n")))


def joined(parts: Iterable[str]) -> Markup:
    """Return parts one after another."""
    return Markup("".join(map(markup, parts)))


def element(tag: str, *content: str, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Parameters
    ----------
    tag
        Its name.
    content
        Text, or markup.
    attributes
        By name, with `_` for `-` and at the end of Python's own words. True is an attribute without a value; None and
        False leave it out.

    Examples
    --------
    >>> element("td", "1 < 2", class_="number", aria_hidden="true", hidden=True, title=None)
    '<td class="number" aria-hidden="true" hidden>1 &lt; 2</td>'
    """
    shown = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{markup(_attribute(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{tag}{shown}>" if tag in _VOID else f"<{tag}{shown}>{joined(content)}</{tag}>")


def _attribute(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"
