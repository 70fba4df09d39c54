"""Suggestions for words that somebody misspelt."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

__all__ = ["did_you_mean", "nearest", "with_keyword_hints"]

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
                hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
                raise TypeError(f"{getattr(function, '__name__', function)}() has no keyword {name!r}{hint}")
        return function(*given, **named)

    return checked
