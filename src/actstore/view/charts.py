"""Line charts as SVG: both axes logarithmic, lines told apart by dashes and marks as well as by colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final, NamedTuple

__all__ = ["Line", "line_chart"]

_WIDTH: Final = 640
_HEIGHT: Final = 360
_LEFT: Final = 84
_RIGHT: Final = 120
_TOP: Final = 16
_BOTTOM: Final = 48
_LABEL_GAP: Final = 15.0
_TICK_GAP: Final = 44.0
"""Width of six digits."""
_STYLES: Final = 5
"""Lines have the classes `line0` to `line4`, of which a style sheet says how they look."""


_Scale = Callable[[float], float]
"""A number on an axis -> its place in the picture."""


class Line(NamedTuple):
    """One line of a chart."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Positive (x, y), in the order in which they are joined."""


def line_chart(
    lines: Sequence[Line],
    *,
    identity: str,
    title: str,
    description: str,
    x_label: str,
    x_text: Callable[[float], str],
    y_text: Callable[[float], str],
) -> str:
    """Return an SVG element.

    Parameters
    ----------
    lines
        At most five.
    identity
        Start of the ids within, which must differ from those of other charts on the page.
    title, description
        Read out by screen readers.
    x_label
        What the horizontal axis is.
    x_text, y_text
        How the numbers at the axes are written.

    Raises
    ------
    ValueError
        If there is nothing to draw, too much, or a value that a logarithm does not have.
    """
    values = [point for line in lines for point in line.points]
    if not values or len(lines) > _STYLES:
        raise ValueError(f"a chart has 1 to {_STYLES} lines with points, not {len(lines)}")
    if any(not (0 < value < math.inf) for point in values for value in point):
        raise ValueError(f"{title}: logarithmic axes take positive numbers only")
    xs, ys = sorted({x for x, _ in values}), [y for _, y in values]
    x_of = _scale(xs[0], xs[-1], _LEFT, _WIDTH - _RIGHT)
    y_ticks = _decades(min(ys), max(ys))
    y_of = _scale(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    head = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{identity}-title {identity}-desc">',
        f'<title id="{identity}-title">{escape(title)}</title>',
        f'<desc id="{identity}-desc">{escape(description)}</desc>',
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    label = f'<text class="label" x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    grid = [*_rows(y_ticks, y_of, y_text), *_columns(xs, x_of, x_text)]
    return "\n".join([*head, *grid, label, *_drawn(lines, x_of, y_of), "</svg>"])


def _rows(ticks: Sequence[float], y_of: _Scale, text: Callable[[float], str]) -> Iterator[str]:
    """Yield the horizontal lines of the grid, each with its number."""
    for y in ticks:
        yield f'<path class="grid" d="M{_LEFT} {y_of(y):.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{escape(text(y))}</text>'


def _columns(ticks: Sequence[float], x_of: _Scale, text: Callable[[float], str]) -> Iterator[str]:
    """Yield the vertical lines of the grid, and the numbers that have room."""
    for x in ticks:
        yield f'<path class="grid" d="M{x_of(x):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
    for x in _legible(ticks, x_of):
        y = _HEIGHT - _BOTTOM + 18
        yield f'<text class="tick" x="{x_of(x):.1f}" y="{y}" text-anchor="middle">{escape(text(x))}</text>'


def _drawn(lines: Sequence[Line], x_of: _Scale, y_of: _Scale) -> Iterator[str]:
    """Yield the lines with their marks and names."""
    ends = [y_of(max(line.points)[1]) for line in lines]
    for index, (line, label_y) in enumerate(zip(lines, _apart(ends), strict=True)):
        places = [(x_of(x), y_of(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<g class="line{index}"><path class="line" d="{path}"/>'
        yield from (_mark(index, x, y) for x, y in places)
        yield f'<text class="name" x="{_WIDTH - _RIGHT + 12}" y="{label_y + 4:.1f}">{escape(line.name)}</text></g>'


def _scale(low: float, high: float, start: float, stop: float) -> _Scale:
    """Return a logarithmic scale from [low, high] to [start, stop]."""
    span = math.log(high / low)
    if span == 0:
        return lambda _: (start + stop) / 2
    return lambda value: start + (stop - start) * math.log(value / low) / span


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten from the last below `low` to the first above `high`.

    Examples
    --------
    >>> _decades(30, 4000)
    [10.0, 100.0, 1000.0, 10000.0]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _legible(values: Sequence[float], place: _Scale) -> list[float]:
    """Return the values, in ascending order, whose labels fit side by side; the last one always does.

    Examples
    --------
    >>> _legible([1.0, 10.0, 12.0], lambda value: 10 * value)
    [1.0, 12.0]
    """
    kept: list[float] = []
    for value in reversed(values):
        if not kept or place(kept[-1]) - place(value) >= _TICK_GAP:
            kept.append(value)
    return kept[::-1]


def _apart(places: Sequence[float]) -> list[float]:
    """Move labels down until none covers another.

    Examples
    --------
    >>> _apart([100.0, 20.0, 103.0])
    [100.0, 20.0, 115.0]
    """
    moved = list(places)
    before = -math.inf
    for index in sorted(range(len(places)), key=lambda index: places[index]):
        moved[index] = before = max(places[index], before + _LABEL_GAP)
    return moved


def _mark(index: int, x: float, y: float) -> str:
    shapes = (
        f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4"/>',
        f'<rect class="mark" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5:.1f}l5 9h-10z"/>',
        f'<path class="mark" d="M{x:.1f} {y - 5:.1f}l5 5-5 5-5-5z"/>',
        f'<path class="mark" d="M{x - 4:.1f} {y:.1f}h8M{x:.1f} {y - 4:.1f}v8"/>',
    )
    return shapes[index]
