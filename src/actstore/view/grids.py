"""Parts of tables: a list of facts, a grid with a head, sizes and times as text."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from rich import box
from rich.table import Table

from actstore.access.printable import printable

__all__ = ["facts", "grid", "human_bytes", "human_count", "human_time", "output_width"]

_UNFOLDED: Final = 10_000
_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_WORDS: Final = {"problem", "outlier channels (x median)"}
"""Heads of columns that hold text, not numbers."""


def output_width() -> int | None:
    """Return the width of tables on standard output: None for that of the terminal, or of COLUMNS.

    In a pipe or file nothing is folded, so that paths and digests can be found there.
    """
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else _UNFOLDED


def facts(title: str, values: Mapping[str, str]) -> Table:
    """Return a table of names and values, without a head."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(name, printable(value, most=None, keep="\n"))
    return table


def grid(first: str, *others: str) -> Table:
    """Return an empty table with a head; numbers are aligned right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, style="cyan", overflow="fold")
    for name in others:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    return table


def human_bytes(count: float) -> str:
    """Return a number of bytes in decimal units.

    Examples
    --------
    >>> human_bytes(25_165_824_000_000)
    '25.2 TB'
    """
    size, unit = float(count), 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def human_count(count: float) -> str:
    """Return a large number to three digits.

    Examples
    --------
    >>> human_count(512_000_000), human_count(2.416e9), human_count(1.237e18), human_count(12)
    ('512 M', '2.42 G', '1.24e+18', '12')
    """
    if count < 100_000:
        return f"{count:,.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)):
        if count < 999.5 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.2e}"


def human_time(seconds: float) -> str:
    """Return a time in the largest unit that gives at least 2.

    Examples
    --------
    >>> human_time(86_400), human_time(3 * 86_400), human_time(90)
    ('24 h', '3 d', '90 s')
    """
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
