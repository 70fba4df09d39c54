"""A result as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer

from actstore import output_width

__all__ = ["print_grid", "print_result", "print_table"]

_OF_SITES: Final = {"explained_variance_per_site"}
"""Parts whose names are those of sites, and appear as they are."""
_WORDS: Final = {"dictionary", "sites", "state"}
"""Heads of columns that hold text, not numbers."""


def print_result(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a document as JSON, or as a table."""
    if as_json:
        typer.echo(json.dumps(document, indent=2, allow_nan=False))
    else:
        print_table(document)


def print_table(document: Mapping[str, Any]) -> None:
    """Print a document as two columns, names and values; what has no value is left out."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in document.items():
        if value is None:
            continue
        table.add_row(name.replace("_", " "), "" if isinstance(value, dict) else _text(value))
        if isinstance(value, dict):
            for key, one in value.items():
                table.add_row(f"  {key if name in _OF_SITES else key.replace('_', ' ')}", _text(one))
    # Paths must appear unchanged: rich would treat `[a]` as markup and `:b:` as an emoji.
    Console(width=output_width(), highlight=False, markup=False, emoji=False).print(table)


def print_grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below heads; the first column names them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(heads):
        words = number == 0 or head in _WORDS
        table.add_column(head, justify="left" if words else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=output_width(), highlight=False, markup=False, emoji=False).print(table)


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case list() | tuple():
            return ", ".join(str(one) for one in value)
    return str(value)
