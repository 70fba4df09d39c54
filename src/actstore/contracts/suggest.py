"""Suggestions for words that somebody misspelt."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, ParamSpec, TypeVar, get_args

from pydantic import BaseModel

__all__ = ["did_you_mean", "hint_for_key", "nearest", "with_keyword_hints"]

_OTHER_WORDS: Final = {"rank": "seat", "world_size": "seat", "num_replicas": "seat"}
"""Keywords of other libraries, and ours for them."""
_P = ParamSpec("_P")
_R = TypeVar("_R")


def did_you_mean(word: str, offered: Iterable[str]) -> str:
    """Return a question that names the nearest words, to be appended to an error; empty if none is near.

    Examples
    --------
    >>> "no site 'resid_pots.3'" + did_you_mean("resid_pots.3", ["embed", "resid_post.3", "resid_post.13"])
    "no site 'resid_pots.3'; did you mean 'resid_post.3' or 'resid_post.13'?"
    >>> did_you_mean("norm", ["embed"])
    ''
    """
    near = nearest(word, offered)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def nearest(word: str, offered: Iterable[str]) -> list[str]:
    """Return the words, three at most, that somebody may have meant, the nearest first."""
    by_lower = {name.lower().replace("-", "_"): name for name in offered}
    return [by_lower[name] for name in difflib.get_close_matches(word.lower().replace("-", "_"), by_lower, n=3)]


def hint_for_key(document: type[BaseModel], place: Sequence[str | int]) -> str:
    """Return a question that names the nearest keys to an unknown one; empty if none is near.

    Parameters
    ----------
    document
        What was to be read.
    place
        Where the unknown key is, from the outermost table on: `loc` of an error of pydantic.

    Examples
    --------
    >>> class Storage(BaseModel):
    ...     task_rows: int
    >>> hint_for_key(Storage, ("taskrows",)), hint_for_key(Storage, ("colour",))
    ("; did you mean 'task_rows'?", '')
    """
    *tables, key = map(str, place)
    name, dotted = key.lower().replace("-", "_"), dict(_dotted(document))
    if name in dotted:
        return f"; did you mean {dotted[name]!r}?"
    below: type[BaseModel] | None = document
    for table in tables:
        field = None if below is None else below.model_fields.get(table)
        below = None if field is None else _model_in(field.annotation)
    if below is not None and (hint := did_you_mean(key, below.model_fields)):
        return hint
    near = [dotted[other] for other in difflib.get_close_matches(name, dotted, n=3)]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - what Python can annotate
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _dotted(document: type[BaseModel], place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the names of all keys, and where they are."""
    for name, field in document.model_fields.items():
        yield name, f"{place}{name}"
        if (below := _model_in(field.annotation)) is not None:
            yield from _dotted(below, f"{place}{name}.")


def with_keyword_hints(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function whose errors about unknown keywords name the nearest known ones.

    Examples
    --------
    >>> @with_keyword_hints
    ... def read(path: str, *, batch_rows: int = 1) -> int:
    ...     return batch_rows
    >>> read("store", batchrows=2)
    Traceback (most recent call last):
    TypeError: read() has no keyword 'batchrows'; did you mean 'batch_rows'?
    """
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def checked(*given: _P.args, **named: _P.kwargs) -> _R:
        for name in named:
            if name not in known:
                hint = did_you_mean(_OTHER_WORDS.get(name, name), known) or f"; it has {', '.join(known)}"
                raise TypeError(f"{getattr(function, '__name__', function)}() has no keyword {name!r}{hint}")
        return function(*given, **named)

    return checked
