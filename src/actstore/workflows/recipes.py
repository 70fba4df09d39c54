"""Recipes from TOML files and command-line options."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from actstore.access.printable import printable
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import hint_for_key, with_keyword_hints
from actstore.errors import RecipeError

__all__ = ["merge_options", "parse_recipe", "read_recipe"]

_LARGEST_BYTES: Final = 1 << 20
_MOST_PROBLEMS: Final = 20
_FILES: Final = frozenset({"sequences"})
_EXPECTED: Final = frozenset({"expected_sequences", "expected_lengths"})
_PATHS: Final = (("corpus", "sequences"), ("splits", "clusters"), ("model", "name"))


@with_keyword_hints
def read_recipe(path: str | Path, *, options: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe from a TOML file.

    Relative paths and globs in it (sequences, clusters, a local model) are relative to the file if something is there;
    otherwise they are used unchanged.

    Parameters
    ----------
    path
        The file.
    options
        Values that take precedence, by dotted key: ``{"store.encoding": "float16"}``. Files of sequences
        replace expected ones, and the reverse.

    Raises
    ------
    RecipeError
        If the recipe cannot be read or is invalid; the message names the file and every wrong field.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            raise RecipeError(f"{path}: over {_LARGEST_BYTES:,} bytes, too large for a recipe; is this the right file?")
        document = tomllib.loads(data.decode())
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, and numbers of too many digits
        raise RecipeError(f"{path}: not TOML: {printable(str(error))}") from None
    for section, key in _PATHS:
        table = document.get(section)
        if isinstance(table, dict) and key in table:
            table[key] = _beside(file.parent, table[key])
    _make_way(document, options or {})
    return parse_recipe(merge_options(document, options or {}, name=str(path)), name=str(path))


def merge_options(document: Mapping[str, Any], options: Mapping[str, Any], *, name: str = "recipe") -> dict[str, Any]:
    """Return the document with dotted options set; None leaves a value as it is.

    Raises
    ------
    RecipeError
        If an option lies below something that is not a table.

    Examples
    --------
    >>> merge_options({"store": {"encoding": "int8"}}, {"store.encoding": "float16", "seed": 3, "sites": None})
    {'store': {'encoding': 'float16'}, 'seed': 3}
    """
    merged = dict(document)
    for dotted, value in options.items():
        if value is None:
            continue
        *sections, key = dotted.split(".")
        table = merged
        for section in sections:
            below = table.setdefault(section, {})
            if not isinstance(below, Mapping):
                raise RecipeError(
                    f"{name}: {dotted} cannot be set: {section!r} is {printable(repr(below), most=40)}, not a table"
                )
            table[section] = table = dict(below)
        table[key] = value
    return merged


def parse_recipe(document: Mapping[str, Any], *, name: str) -> Recipe:
    """Validate a recipe.

    Raises
    ------
    RecipeError
        If the recipe is invalid; the message names every wrong field.
    """
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            field = printable(".".join(str(part) for part in problem["loc"])) or "recipe"
            hint = hint_for_key(Recipe, problem["loc"]) if problem["type"] == "extra_forbidden" else ""
            problems.append(f"  {field}: {printable(problem['msg'].removeprefix('Value error, '))}{hint}")
        if len(problems) > _MOST_PROBLEMS:
            problems[_MOST_PROBLEMS:] = [f"  and {len(problems) - _MOST_PROBLEMS:,} more"]
        # Without the error itself: it shows values, which may be credentials.
        raise RecipeError(f"{name}: not a valid recipe:\n" + "\n".join(problems)) from None
    recipe.refuse_credentials(name=name)
    return recipe


def _make_way(document: dict[str, Any], options: Mapping[str, Any]) -> None:
    """Drop the corpus of a recipe, real or expected, where an option gives one of the other kind."""
    corpus = document.get("corpus")
    given = {key for key in (*_FILES, *_EXPECTED) if options.get(f"corpus.{key}") is not None}
    if not isinstance(corpus, dict) or (given & _FILES and given & _EXPECTED):
        return
    for key in _EXPECTED if given & _FILES else _FILES if given else ():
        corpus.pop(key, None)


def _beside(folder: Path, value: Any) -> Any:  # noqa: ANN401 - unvalidated TOML passes through
    if isinstance(value, list):
        return [_beside(folder, one) for one in value]
    if isinstance(value, str) and "://" not in value and _is_there(folder, value):
        return str(folder / value)
    return value


def _is_there(folder: Path, relative: str) -> bool:
    try:
        return (folder / relative).exists() or (
            glob.has_magic(relative)
            and any(
                glob.iglob(relative, root_dir=folder, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute ones
            )
        )
    except (OSError, ValueError):  # a text too long to be a path, or with a NUL in it
        return False
