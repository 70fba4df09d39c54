"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from actstore.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "Device",
    "Json",
    "Quiet",
    "Settings",
    "StorageOptions",
    "comma_separated",
    "parse_duration",
    "parse_settings",
    "parse_storage_options",
    "print_report",
    "show_version",
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Device = Annotated[str, typer.Option("--device", help="Device of the model: cpu, cuda, cuda:1.")]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option("--storage-option", metavar="KEY=VALUE", help="Passed to fsspec; may be repeated."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any recipe field, in TOML: `--set store.task_rows=8192`; may be repeated.",
    ),
]

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def comma_separated(values: Sequence[str] | None) -> list[str] | None:
    """Flatten ``["a,b", "c"]`` to ``["a", "b", "c"]``; return None if no value was given."""
    if not values:
        return None
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def parse_duration(text: str, *, flag: str) -> float:
    """Parse a time with its unit; return seconds.

    Examples
    --------
    >>> [parse_duration(text, flag="--older-than") for text in ("90s", "30m", "12h", "1.5d", "0")]
    [90.0, 1800.0, 43200.0, 129600.0, 0.0]
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None or not (match[2] or float(match[1]) == 0):
        raise UsageError(f"{flag} = {text!r}: give a number and a unit, such as 90s, 30m, 12h or 1d")
    return float(match[1]) * _UNIT_S.get(match[2], 1.0)


def parse_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Parse ``key=value`` with values in TOML; a value that is not TOML is text.

    Examples
    --------
    >>> parse_settings(["store.task_rows=8192", "store.encoding=float16"])
    {'store.task_rows': 8192, 'store.encoding': 'float16'}
    """
    parsed: dict[str, Any] = {}
    for key, text in _pairs(settings, "--set"):
        try:
            document = tomllib.loads(f"value = {text}")
        except (ValueError, RecursionError):
            document = {}
        # Text of several lines might be a document of several fields.
        parsed[key] = document["value"] if document.keys() == {"value"} else text
    return parsed


def parse_storage_options(options: Sequence[str] | None) -> dict[str, str]:
    """Parse ``key=value``, values as text."""
    return dict(_pairs(options, "--storage-option"))


def print_report(report: object, *, as_json: bool, view: Callable[[], RenderableType]) -> None:
    """Print a report on standard output, as JSON or as a table."""
    if as_json:
        from actstore.view.document import to_json

        typer.echo(to_json(report))
        return
    from rich.console import Console

    # Paths and ids must appear unchanged: rich would treat `[a]` as markup and `:b:` as an emoji.
    Console(highlight=False, markup=False, emoji=False).print(view())


def show_version(wanted: bool) -> None:
    """Print the version and exit."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"actstore {version('actstore')}")
        raise typer.Exit


def _pairs(options: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for option in options or ():
        key, separator, value = option.partition("=")
        if not separator or not key:
            # The value is not shown: it may be a credential.
            raise UsageError(f"{flag} takes KEY=VALUE; one value has no '='")
        pairs.append((key.strip(), value.strip()))
    return pairs
