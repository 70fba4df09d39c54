"""Pictures in the rows of a table: distributions and values of many sites over one axis.

The numbers stand in the same row, so the table is its own text for who does not see the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from actstore.view.pages.axes import Axis
from actstore.view.pages.charts import canvas, path
from actstore.view.pages.markup import Markup, element

__all__ = ["Scale", "Strip", "bar", "density", "nothing", "span", "strip_table"]

_HEIGHT: Final = 24.0


class Scale(NamedTuple):
    """An axis with its name, and how its numbers are written."""

    name: str
    axis: Axis
    text: Callable[[float], str]


class Strip(NamedTuple):
    """One row: what it is of, its picture, and its numbers."""

    name: str
    picture: Markup
    numbers: Sequence[str]


def strip_table(
    scale: Scale, columns: Sequence[str], strips: Sequence[Strip], *, stressed: str = "", words: bool = False
) -> Markup:
    """Return a table with a picture in each row; on a narrow screen, numbers stand below their picture.

    Roles are stated because a table that is laid out in another way is not always one for screen readers.

    Parameters
    ----------
    scale
        The axis that all pictures share.
    columns
        Names of the first column and of the numbers.
    strips
        The rows.
    stressed
        Name of a row to stress.
    words
        Whether the last column holds words.
    """
    others = columns[1:]
    ticks = (element("span", text, style=f"left:{place:.2f}%") for place, text in scale.axis.labels(scale.text))
    picture_head = element(
        "th",
        element("span", scale.name, class_="axis-name"),
        element("span", *ticks, class_="ticks", aria_hidden="true"),
        scope="col",
        role="columnheader",
        class_="picture",
    )
    named, *further = (element("th", one, scope="col", role="columnheader") for one in columns)
    rows = (
        element(
            "tr",
            element("th", strip.name, scope="row", role="rowheader"),
            strip.picture,
            *(element("td", one, data_name=name, role="cell") for name, one in zip(others, strip.numbers, strict=True)),
            role="row",
            class_="own" if strip.name == stressed else None,
        )
        for strip in strips
    )
    return element(
        "table",
        element("thead", element("tr", named, picture_head, *further, role="row"), role="rowgroup"),
        element("tbody", *rows, role="rowgroup"),
        role="table",
        class_="strips words" if words else "strips",
    )


def density(axis: Axis, edges: Sequence[float], counts: Sequence[int], *, marks: Sequence[float] = ()) -> Markup:
    """Return a cell with a histogram, each as high as its own highest bar, and marks at single values."""
    most = max(counts, default=0)
    shape = "".join(
        f"M{axis.at(left):.2f} {_HEIGHT:g}v{-(_HEIGHT - 2) * height / most:.2f}H{axis.at(right):.2f}V{_HEIGHT:g}Z"
        for left, right, height in zip(edges[:-1], edges[1:], counts, strict=True)
        if height
    )
    ticks = "".join(f"M{axis.at(value):.2f} 0V{_HEIGHT:g}" for value in marks)
    return _cell(axis, path("area", shape), path("tick", ticks))


def span(axis: Axis, low: float, high: float) -> Markup:
    """Return a cell with two values, the higher one as a full mark, joined by a line."""
    middle = _HEIGHT / 2
    line = path("line", f"M{axis.at(low):.2f} {middle:g}H{axis.at(high):.2f}")
    return _cell(
        axis,
        line,
        path("mark", f"M{axis.at(high):.2f} {middle:g}h0"),
        path("tick", f"M{axis.at(low):.2f} {middle - 6:g}v12"),
    )


def bar(axis: Axis, value: float, *, own: bool = True) -> Markup:
    """Return a cell with a bar from the low end of the axis."""
    kind = "bar" if own else "bar other"
    return _cell(axis, path(kind, f"M0 4H{axis.at(value):.2f}V{_HEIGHT - 4:g}H0Z"))


def nothing(why: str) -> Markup:
    """Return a cell without a picture."""
    return element("td", why, role="cell", class_="picture")


def _cell(axis: Axis, *shapes: Markup) -> Markup:
    grid = "".join(f"M{axis.at(tick):.2f} 0V{_HEIGHT:g}" for tick in axis.ticks)
    return element("td", canvas(path("grid", grid), *shapes, height=_HEIGHT), role="cell", class_="picture")
