"""Axes: numbers to places in a picture, in percent of its length, and the numbers that are written beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Axis", "linear_axis", "log_axis", "nice_numbers"]

_STEPS: Final = (1.0, 2.0, 5.0, 10.0)
_LETTER: Final = 2.7
_GAP: Final = 1.2
"""Width of a letter of a label, and room between two, in percent of a picture of 270 pixels, which is a narrow one."""
_LEAST_SPAN: Final = 1e-9
_MOST_TICKS: Final = 9


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear or logarithmic axis."""

    low: float
    high: float
    ticks: tuple[float, ...]
    """Numbers with a line of the grid."""
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return the place of a number, in percent from the low end."""
        if self.logarithmic:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def labels(self, text: Callable[[float], str]) -> list[tuple[float, str]]:
        """Return places and texts of the ticks whose labels have room side by side; the last one always has.

        Examples
        --------
        >>> Axis(0.0, 10.0, (0.0, 1.0, 5.0, 9.5, 10.0)).labels(lambda x: f"{x:g}")
        [(0.0, '0'), (10.0, '1'), (50.0, '5'), (100.0, '10')]
        """
        kept: list[tuple[float, str]] = []
        for tick in reversed(self.ticks):
            place, shown = self.at(tick), text(tick)
            if not kept or kept[-1][0] - place >= _GAP + _LETTER * (len(shown) + len(kept[-1][1])) / 2:
                kept.append((place, shown))
        return kept[::-1]


def linear_axis(low: float, high: float, *, steps: int = 5) -> Axis:
    """Return an axis that begins and ends at round numbers.

    Examples
    --------
    >>> linear_axis(31.2, 44.7)
    Axis(low=30.0, high=45.0, ticks=(30.0, 35.0, 40.0, 45.0), logarithmic=False)
    """
    if not high - low > _LEAST_SPAN * max(abs(low), abs(high), 1.0):
        low, high = low - max(abs(low), 1.0) / 10, high + max(abs(high), 1.0) / 10
    step = _step((high - low) / steps)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(first * step, last * step, tuple(index * step for index in range(first, last + 1)))


def log_axis(values: Sequence[float], *, ticks: Sequence[float] | None = None) -> Axis:
    """Return a logarithmic axis over positive numbers.

    Parameters
    ----------
    values
        What has to be on it.
    ticks
        Numbers of the grid; by default powers of ten or, over less than two decades, 1, 2 and 5 times these, and the
        axis ends at such numbers.

    Raises
    ------
    ValueError
        If a number has no logarithm.

    Examples
    --------
    >>> log_axis([30, 4000]).ticks
    (10.0, 100.0, 1000.0, 10000.0)
    >>> log_axis([8, 43]).ticks
    (5.0, 10.0, 20.0, 50.0)
    """
    low, high = min(values), max(values)
    if not all(0 < value < math.inf for value in values):
        raise ValueError("logarithmic axes take positive numbers only")
    if ticks is not None:
        return Axis(low, high if high > low else 2 * low, tuple(ticks), logarithmic=True)
    chosen = nice_numbers(low, high)
    return Axis(chosen[0], chosen[-1], chosen, logarithmic=True)


def nice_numbers(low: float, high: float) -> tuple[float, ...]:
    """Return numbers from the last round one at or below `low` to the first at or above `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    wide = high / low >= 100
    if last - first >= _MOST_TICKS:
        step = -(-(last - first) // (_MOST_TICKS - 1))
        return tuple(10.0**power for power in range(first, last + step, step))
    numbers = [digit * 10.0**power for power in range(first, last + 1) for digit in ((1,) if wide else (1, 2, 5))]
    begin = max(index for index, number in enumerate(numbers) if number <= low * (1 + 1e-9))
    numbers.append(numbers[-1] * (10 if wide else 2))  # a single number needs an end
    end = min(index for index, number in enumerate(numbers) if number >= high * (1 - 1e-9))
    return tuple(numbers[begin : max(end, begin + 1) + 1])


def _step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))
