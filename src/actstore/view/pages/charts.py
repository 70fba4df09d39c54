"""Charts that take the width they get: shapes are stretched, while lines, marks and labels keep their size.

A shape lies in an SVG element of 100 by 100 units without a fixed aspect ratio. Labels are HTML beside it, at places in
percent. So a chart is as legible at 400 pixels as at 1,400.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, NamedTuple

from actstore.view.pages.axes import Axis
from actstore.view.pages.markup import Markup, element, joined

__all__ = ["Labels", "Line", "bar_chart", "canvas", "line_chart", "path"]

_STYLES: Final = 5
"""Lines have the classes `line0` to `line4`, of which the style sheet says how they look."""


class Line(NamedTuple):
    """One line of a chart."""

    name: str
    points: tuple[tuple[float, float], ...]
    """(x, y), in the order in which they are joined."""
    marked: bool = True
    """Whether points have marks."""
    joined: bool = True
    """Whether a line joins the points."""
    faint: bool = False
    """Whether it is there for comparison only: grey, without marks, and not in the legend."""


class Labels(NamedTuple):
    """What a screen reader says of a chart, and what its axes are."""

    identity: str
    """Start of the ids in the chart, which must differ from those of other charts on the page."""
    title: str
    description: str
    x: str
    y: str
    x_text: Callable[[float], str]
    y_text: Callable[[float], str]
    """How numbers at the axes are written."""


def line_chart(lines: Sequence[Line], x_axis: Axis, y_axis: Axis, labels: Labels) -> Markup:
    """Return lines over two axes, with a legend.

    Raises
    ------
    ValueError
        If there is nothing to draw, or more than five lines that have to be told apart.
    """
    named = [line for line in lines if not line.faint]
    if not 1 <= len(named) <= _STYLES or not all(line.points for line in lines):
        raise ValueError(f"a chart has 1 to {_STYLES} lines with points, not {len(named)}")
    numbers = count()
    drawn = [
        _drawn(line, None if line.faint else next(numbers), x_axis, y_axis)
        for line in sorted(lines, key=lambda line: not line.faint)
    ]
    legend = element("ul", *(_legend(index, line) for index, line in enumerate(named)), class_="legend")
    return joined([legend if len(named) > 1 else Markup(), _framed(joined(drawn), x_axis, y_axis, labels)])


def bar_chart(edges: Sequence[float], heights: Sequence[float], x_axis: Axis, y_axis: Axis, labels: Labels) -> Markup:
    """Return bars between edges; the vertical axis must begin at 0."""
    parts = [
        f"M{x_axis.at(left):.2f} 100V{100 - y_axis.at(height):.2f}H{x_axis.at(right):.2f}V100Z"
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True)
        if height
    ]
    return _framed(path("area", "".join(parts)), x_axis, y_axis, labels, columns=False)


def canvas(*shapes: Markup, height: float = 100) -> Markup:
    """Return a picture 100 units wide that is stretched over the element around it."""
    return element(
        "svg", *shapes, viewBox=f"0 0 100 {height:g}", preserveAspectRatio="none", aria_hidden="true", focusable="false"
    )


def path(kind: str, data: str) -> Markup:
    """Return a path; strokes keep their width however the picture is stretched."""
    return element("path", class_=kind, d=Markup(data), vector_effect="non-scaling-stroke")


def _framed(drawing: Markup, x_axis: Axis, y_axis: Axis, labels: Labels, *, columns: bool = True) -> Markup:
    """Return a drawing with its grid, numbers and names of the axes, as one picture for screen readers."""
    rows = "".join(f"M0 {100 - y_axis.at(tick):.2f}H100" for tick in y_axis.ticks)
    upright = "".join(f"M{x_axis.at(tick):.2f} 0V100" for tick in x_axis.ticks) if columns else ""
    title, description = f"{labels.identity}-title", f"{labels.identity}-desc"
    return element(
        "div",
        element("span", labels.title, id=title, class_="unseen"),
        element("span", labels.description, id=description, class_="unseen"),
        element("span", labels.y, class_="y-name"),
        element(
            "div",
            canvas(path("grid", rows + upright), drawing),
            *(
                element("span", labels.y_text(tick), class_="y-tick", style=f"bottom:{y_axis.at(tick):.2f}%")
                for tick in y_axis.ticks
            ),
            *(
                element("span", text, class_="x-tick", style=f"left:{place:.2f}%")
                for place, text in x_axis.labels(labels.x_text)
            ),
            class_="plot",
        ),
        element("span", labels.x, class_="x-name"),
        role="img",
        aria_labelledby=title,
        aria_describedby=description,
        class_="chart",
    )


def _drawn(line: Line, style: int | None, x_axis: Axis, y_axis: Axis) -> Markup:
    places = [(x_axis.at(x), 100 - y_axis.at(y)) for x, y in line.points]
    joint = path("line", "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in places))
    if style is None:
        return element("g", joint, class_="faint")
    marks = path("mark", "".join(f"M{x:.2f} {y:.2f}h0" for x, y in places))
    shapes = [shape for shape, shown in ((joint, line.joined), (marks, line.marked)) if shown]
    return element("g", *shapes, class_=f"line{style}")


def _legend(style: int, line: Line) -> Markup:
    swatch = joined(_swatch(line))
    return element("li", canvas(swatch, height=10), element("span", line.name), class_=f"line{style}")


def _swatch(line: Line) -> Iterator[Markup]:
    if line.joined:
        yield path("line", "M0 5H100")
    if line.marked:
        yield path("mark", "M50 5h0")
