"""Line charts as SVG: both axes logarithmic; lines differ in dashes, marks and colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
"""Lines have the classes `line0` to `line4`; a style sheet defines their look."""


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
        Prefix of the ids in the chart, which must differ from those of other charts on the page.
    title, description
        For screen readers.
    x_label
        Label of the horizontal axis.
    x_text, y_text
        Formats of the numbers at the axes.

    Raises
    ------
    ValueError
        If there are no lines, too many lines, or a value that is not positive.
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
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{identity}-title {identity}-desc">',
        f'<title id="{identity}-title">{escape(title)}</title>',
        f'<desc id="{identity}-desc">{escape(description)}</desc>',
    ]
    for y in y_ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y_of(y):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y_of(y) + 4:.1f}" text-anchor="end">{escape(y_text(y))}</text>'
        )
    parts += [f'<path class="grid" d="M{x_of(x):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>' for x in xs]
    parts += [
        f'<text class="tick" x="{x_of(x):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
        f"{escape(x_text(x))}</text>"
        for x in _legible(xs, x_of)
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text class="label" x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>'
    )
    ends = [y_of(max(line.points)[1]) for line in lines]
    for index, (line, label_y) in enumerate(zip(lines, _apart(ends), strict=True)):
        places = [(x_of(x), y_of(y)) for x, y in line.points]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<g class="line{index}"><path class="line" d="{path}"/>')
        parts += [_mark(index, x, y) for x, y in places]
        parts.append(
            f'<text class="name" x="{_WIDTH - _RIGHT + 12}" y="{label_y + 4:.1f}">{escape(line.name)}</text></g>'
        )
    return "\n".join([*parts, "</svg>"])


def _scale(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
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


def _legible(values: Sequence[float], place: Callable[[float], float]) -> list[float]:
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
    """Move labels down until they do not overlap.

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
