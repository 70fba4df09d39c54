"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import typer

from actstore.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "DestinationOptions",
    "Device",
    "Dtype",
    "Encoding",
    "Fraction",
    "Json",
    "ListedSequences",
    "ModelPlace",
    "PartOptions",
    "Quiet",
    "Settings",
    "StorageOptions",
    "StorePlace",
    "comma_separated",
    "parse_count",
    "parse_duration",
    "parse_numbers",
    "parse_recipe_fields",
    "parse_settings",
    "parse_storage_options",
    "print_report",
]

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.", rich_help_panel="Output")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel="Output")]
Device = Annotated[
    str,
    typer.Option("--device", help="Where the model runs: auto, cpu, cuda or cuda:N.", rich_help_panel="Access"),
]
ModelPlace = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Folder or Hugging Face name that has the model now, if not the place it was extracted with.",
        show_default="as the store says",
        rich_help_panel="Access",
    ),
]
Dtype = Annotated[str | None, typer.Option(help="float32, float16 or bfloat16.", show_default="float32")]
Encoding = Annotated[str | None, typer.Option(help="int8, int4, float16 or bfloat16.", show_default="int8")]
Fraction = Annotated[
    float | None, typer.Option(help="Share of the residues of each sequence.", show_default="1.0: all residues")
]
StorageOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Passed to fsspec; may be repeated.",
        rich_help_panel="Access",
        show_default="of the environment",
    ),
]
DestinationOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--destination-option",
        metavar="KEY=VALUE",
        help="Passed to fsspec for DST; may be repeated.",
        rich_help_panel="Access",
        show_default="of the environment",
    ),
]
ListedSequences = Annotated[
    str | None,
    typer.Option(
        "--sequences",
        metavar="FILE",
        help="Only rows of these sequences, shuffled anew: a file with an id on each line, or a FASTA.",
        show_default="all",
        rich_help_panel="Which part",
    ),
]
StorePlace = Annotated[
    str | None,
    typer.Option(
        "--uri",
        metavar="URI",
        help="Where the store of a manifest file is, if not where the file says.",
        show_default="as the file says",
        rich_help_panel="Access",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any recipe field, in TOML: `--set store.task_rows=8192`; may be repeated.",
        rich_help_panel="Recipe",
        show_default="of the recipe",
    ),
]

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")
_NUMBERS: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_MOST_NUMBERS: Final = 10_000_000
_COUNT: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKmMgGbBtT]?)")
_COUNTED: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_UNIT_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True, slots=True)
class PartOptions:
    """Which part of a store is meant."""

    PANEL: ClassVar = "Which part"

    site: Annotated[
        list[str] | None,
        typer.Option(help="Site or glob; several with commas, or by repeating the option.", show_default="all"),
    ] = None
    split: Annotated[
        list[str] | None,
        typer.Option(help="Split; several with commas, or by repeating the option.", show_default="all"),
    ] = None
    tasks: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|PERCENT",
            help="The first tasks of each split: `12`, or `10%` of them. They are a fair sample, since the plan "
            "shuffles sequences before it cuts tasks.",
            show_default="all",
        ),
    ] = None

    def chosen(self) -> dict[str, Any]:
        """Return the arguments of `copy_store` and `subset_manifest`."""
        from actstore.workflows.sharing.choose_part import parse_tasks

        return {
            "sites": comma_separated(self.site),
            "splits": comma_separated(self.split),
            "tasks": parse_tasks(self.tasks),
        }


def comma_separated(values: Sequence[str] | None) -> list[str] | None:
    """Flatten ``["a,b", "c"]`` to ``["a", "b", "c"]``; return None if no value was given."""
    if not values:
        return None
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def parse_count(text: str, *, flag: str) -> int:
    """Parse a number of things, with k, M, G (or B) or T for thousands, millions and so on.

    Examples
    --------
    >>> [parse_count(text, flag="--rows") for text in ("20_000", "500M", "2.5G", "1.5b", "20k")]
    [20000, 500000000, 2500000000, 1500000000, 20000]
    """
    match = _COUNT.fullmatch(text.strip().replace("_", "").replace(",", ""))
    if match is None:
        raise UsageError(f"{flag} = {text!r}: give a number, such as 20000, 500M or 2.5G")
    return round(float(match[1]) * _COUNTED[match[2].lower()])


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


def parse_numbers(values: Sequence[str] | None, flag: str) -> list[int] | None:
    """Parse whole numbers and ranges whose ends are included; return None if no value was given.

    Raises
    ------
    UsageError
        If a part is neither, or there are more than ten million numbers.

    Examples
    --------
    >>> parse_numbers(["17,99", "0-3"], "--rows")
    [17, 99, 0, 1, 2, 3]
    """
    numbers: list[int] = []
    for part in comma_separated(values) or ():
        match = _NUMBERS.fullmatch(part.strip())
        if match is None:
            raise UsageError(f"{flag} takes whole numbers and ranges such as 17,99 or 10-50, not {part!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last - first >= _MOST_NUMBERS - len(numbers):
            raise UsageError(f"{flag} {part}: {'the end is before the start' if last < first else 'too many numbers'}")
        numbers += range(first, last + 1)
    return numbers or None


def parse_recipe_fields(options: Mapping[str, object], settings: Sequence[str] | None) -> dict[str, Any]:
    """Return fields of a recipe by dotted name, from their own options and from ``--set``.

    Raises
    ------
    UsageError
        If both give one field.

    Examples
    --------
    >>> parse_recipe_fields({"seed": None, "store.encoding": "int8"}, ["seed=3"])
    {'seed': 3, 'store.encoding': 'int8'}
    """
    by_setting = parse_settings(settings)
    for name in by_setting:
        if options.get(name) is not None:
            raise UsageError(f"--set {name}: the field has an option of its own, which is given too; leave out one")
    return {**options, **by_setting}


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


def parse_storage_options(options: Sequence[str] | None, *, flag: str = "--storage-option") -> dict[str, str]:
    """Parse ``key=value``, values as text; one that may be a secret without its name, as ``c2VjcmV0==``, is refused."""
    if any(re.fullmatch(r"[^=]+=\s*(=.*)?", option, re.DOTALL) for option in options or ()):
        raise UsageError(f"{flag} takes KEY=VALUE; after the first '=' of one there is nothing, or another '='")
    return dict(_pairs(options, flag))


def print_report(report: object, *, as_json: bool, view: Callable[[], RenderableType]) -> None:
    """Print a report on standard output, as JSON or as a table."""
    if as_json:
        from actstore.view.document import to_json

        typer.echo(to_json(report))
        return
    from rich.console import Console

    from actstore.view.grids import output_width

    # Paths and ids must appear unchanged: rich would treat `[a]` as markup and `:b:` as an emoji.
    Console(width=output_width(), highlight=False, markup=False, emoji=False).print(view())


def _pairs(options: Sequence[str] | None, flag: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for option in options or ():
        key, separator, value = option.partition("=")
        if not separator or not key:
            # The value is not shown: it may be a credential.
            raise UsageError(f"{flag} takes KEY=VALUE; one value has no '='")
        if key.strip() in dict(pairs):
            raise UsageError(f"{flag} {key.strip()} is given twice, and it takes one value; leave out all but one")
        pairs.append((key.strip(), value.strip()))
    return pairs
