"""The frame of every page: head, switch of colours, sections, and the parts that all pages have."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from actstore.view.pages.markup import Markup, element, joined, markup

__all__ = ["Section", "code", "facts", "figure", "page", "table"]

_STYLE: Final = files(__package__).joinpath("page.css").read_text("utf-8")
_SCRIPT: Final = files(__package__).joinpath("page.js").read_text("utf-8")
_SCRIPT_SHA256: Final = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_SCRIPT_SHA256}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page loads nothing from anywhere, and no other script runs, whatever a store's maker wrote into its names."""


class Section(NamedTuple):
    """A part of a page that the contents name."""

    identity: str
    title: str
    body: tuple[str, ...]


def page(title: str, head: Sequence[str], sections: Sequence[Section], foot: str) -> str:
    """Return an HTML document."""
    contents = (element("li", element("a", one.title, href=f"#{one.identity}")) for one in sections)
    frame = element(
        "div",
        element("header", _theme(), *head),
        element(
            "div",
            element("nav", element("ul", *contents), aria_label="Contents"),
            element("main", *map(_section, sections), id="content"),
            class_="columns",
        ),
        element("footer", foot),
        class_="frame",
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            element(
                "head",
                element("meta", charset="utf-8"),
                element("meta", http_equiv="Content-Security-Policy", content=Markup(_POLICY)),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="referrer", content="no-referrer"),
                element("link", rel="icon", href="data:,"),
                element("title", title),
                element("style", Markup(_STYLE)),
            ),
            element(
                "body",
                element("a", "To the content", href="#content", class_="skip"),
                frame,
                element("p", id="said", role="status", class_="unseen"),
                element("script", Markup(_SCRIPT)),
            ),
            "</html>",
            "",
        ]
    )


def figure(caption: str, *content: str, note: str = "", numbers: str | None = None) -> Markup:
    """Return a figure with its caption.

    Parameters
    ----------
    caption
        What it shows.
    content
        A picture, or a table with pictures.
    note
        How to read it.
    numbers
        A table with the numbers of a picture, which is folded.
    """
    folded = () if numbers is None else (element("details", element("summary", "Numbers"), numbers),)
    below = element("small", note) if note else Markup()
    return element("figure", element("figcaption", caption, below), *content, *folded)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    own: int | None = None,
) -> Markup:
    """Return a table whose first column names the rows.

    Parameters
    ----------
    heads
        Of the columns.
    rows
        As many cells.
    caption
        Title above it.
    own
        Number of a row to stress.
    """
    head = element("tr", *(element("th", one, scope="col") for one in heads))
    body = (
        element(
            "tr",
            element("th", first, scope="row"),
            *(element("td", one) for one in others),
            class_="own" if number == own else None,
        )
        for number, (first, *others) in enumerate(rows)
    )
    title = element("caption", caption) if caption else Markup()
    drawn = element("table", title, element("thead", head), element("tbody", *body))
    return element("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=caption or f"{heads[0]} table")


def facts(values: Mapping[str, str]) -> Markup:
    """Return names and values."""
    return element(
        "dl",
        *(joined([element("dt", name), element("dd", value)]) for name, value in values.items()),
        class_="facts",
    )


def code(identity: str, text: str, *, name: str, folded: bool = False) -> Markup:
    """Return lines of code with a button that copies them.

    Parameters
    ----------
    identity
        Id on the page.
    text
        The lines.
    name
        What they are, such as the language.
    folded
        Whether long lines are broken; otherwise they scroll.
    """
    button = element("button", "Copy", type="button", data_copies=identity, aria_label=f"Copy: {name}", hidden=True)
    lines = element("code", markup(text, most=None), id=identity)
    return element(
        "div",
        element("div", element("span", name), button, class_="copy"),
        element("pre", lines, class_="folded" if folded else None, tabindex=None if folded else "0"),
        class_="code",
    )


def _section(one: Section) -> Markup:
    title = f"{one.identity}-name"
    return element("section", element("h2", one.title, id=title), *one.body, id=one.identity, aria_labelledby=title)


def _theme() -> Markup:
    choices = (
        element(
            "label",
            element("input", type="radio", name="theme", id=f"theme-{value}", value=value, checked=value == "auto"),
            name,
        )
        for value, name in (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))
    )
    return element("fieldset", element("legend", "Colours", class_="unseen"), *choices, class_="theme")
