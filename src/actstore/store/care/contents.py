"""What the objects of a task hold: finite rows, the residues of the plan, possible statistics.

Digests say that an object is the one that was committed, and nothing about what it holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.unknown import UNKNOWN_TOKEN
from actstore.errors import CorruptObjectError
from actstore.store.format.chunk import decode_chunk
from actstore.store.format.layout import HOLE, ArraySpec
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.store.write.statistic_bounds import statistic_problem
from actstore.store.write.statistics import contradicting

__all__ = ["ObjectContent", "PlannedColumns", "TaskContents", "TokensOfLetters"]

_EXPONENTS: Final = {"<f2": 0x7C00, "<u2": 0x7F80}
"""All ones in a number that is NaN or Inf: float16 (values and scales), and bfloat16 as it is stored."""


class PlannedColumns(NamedTuple):
    """Which residues the plan puts into the rows of a task."""

    sequence_N: NDArray[np.int64]
    position_N: NDArray[np.int32]
    letter_N: NDArray[np.uint8] | None
    """ASCII codes of the residues; None if the sequences cannot be read."""


class TokensOfLetters:
    """The token of each letter, as the first rows have it. Safe in several threads."""

    def __init__(self) -> None:
        self._token_of = np.full(256, HOLE, dtype=np.int16)
        self._lock = threading.Lock()

    def problem(self, letter_N: NDArray[np.uint8], token_N: NDArray[np.int16]) -> str | None:
        """Return the problem of some rows: a letter with two tokens, here or in rows before; None if there is none."""
        with self._lock:
            letters, first = np.unique(letter_N, return_index=True)
            unknown = self._token_of[letters] == HOLE
            self._token_of[letters[unknown]] = token_N[first[unknown]]
            wrong = np.flatnonzero((self._token_of[letter_N] != token_N) | (token_N < 0))
            if not len(wrong):
                return None
            row = int(wrong[0])
            known, letter = int(self._token_of[letter_N[row]]), chr(letter_N[row])
        return f"token {token_N[row]} for {letter}" + (f", and {known} in other rows" if known >= 0 else "")


class ObjectContent:
    """Looks at the chunks of one object, as they are stored, one after the other.

    Parameters
    ----------
    spec
        The array.
    rows
        Rows of the task.
    problem_of
        Returns the problem of the rows of a chunk, given the first of them, or None.
    """

    def __init__(
        self, spec: ArraySpec, rows: int, problem_of: Callable[[NDArray[Any], int], str | None] | None
    ) -> None:
        self._spec = spec
        self._rows = rows
        self._problem_of = problem_of
        self.problem: str | None = None
        """What is wrong with the chunks so far."""
        self.values: NDArray[Any] | None = None
        """The content of an object of one chunk."""

    def add(self, chunk: int, stored: bytes) -> None:
        """Look at the next chunk."""
        if self.problem is not None or self._problem_of is None:
            return
        start = chunk * self._spec.chunk[0]
        if not self._spec.sharded:
            if len(stored) != self._spec.row_bytes:
                self.problem = f"{len(stored):,} bytes, its layout {self._spec.row_bytes:,}"
                return
            self.values = np.frombuffer(stored, dtype=self._spec.dtype).reshape(self._spec.shape[1:])
            self.problem = self._problem_of(self.values, 0)
            return
        try:
            values = decode_chunk(self._spec, stored, name=f"chunk {chunk}")
        except (CorruptObjectError, ValueError) as error:
            self.problem = str(error)
            return
        self.problem = self._problem_of(values, start)


class TaskContents:
    """What the objects of one task must hold.

    Parameters
    ----------
    frozen, task
        The recipe and the number of the task.
    planned
        The residues of its rows; None if there is no plan.
    tokens
        The tokens of the tasks before.
    """

    def __init__(
        self, frozen: FrozenRecipe, task: int, planned: PlannedColumns | None, tokens: TokensOfLetters
    ) -> None:
        self._frozen = frozen
        self._task = task
        self._rows = frozen.rows_of(task)
        self._planned = planned
        self._tokens = tokens
        self._contents: dict[str, ObjectContent] = {}

    def of(self, spec: ArraySpec) -> ObjectContent:
        """Return what looks at the object of an array."""
        content = ObjectContent(spec, self._rows, self._rule(spec))
        self._contents[spec.path] = content
        return content

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Yield path and problem of statistics that contradict each other, after all objects were looked at."""
        arrays = {
            path.removeprefix("statistics/"): content.values
            for path, content in self._contents.items()
            if path.startswith("statistics/") and content.values is not None and content.problem is None
        }
        specs = {spec.path: spec for spec in self._frozen.task_arrays if not spec.sharded}
        if len(arrays) == len(specs):
            for found in contradicting(self._frozen, arrays):
                yield specs[found.array].object_path(self._task), found.reason

    def _rule(self, spec: ArraySpec) -> Callable[[NDArray[Any], int], str | None] | None:
        kind, _, name = spec.path.partition("/")
        if kind == "statistics":
            return lambda values, _: self._statistic(name, values)
        if kind != "rows":
            exponent = _EXPONENTS.get(spec.dtype)
            return None if exponent is None else lambda values, start: self._not_finite(values, start, exponent)
        if name == "token":
            return self._token
        if self._planned is None:
            return None
        wanted_N = self._planned.sequence_N if name == "sequence" else self._planned.position_N
        return lambda values, start: self._column(name, values, start, wanted_N)

    def _statistic(self, name: str, values: NDArray[Any]) -> str | None:
        width = max(site.width for site in self._frozen.sites)
        problem = statistic_problem(name, values, rows=self._rows, width=width)
        return None if problem is None else f"no {name} of {self._rows:,} rows: {problem}"

    def _not_finite(self, values: NDArray[Any], start: int, exponent: int) -> str | None:
        bits = values.view("<u2")[: max(self._rows - start, 0)]
        bad = (bits & np.uint16(exponent)) == np.uint16(exponent)
        if not bad.any():
            return None
        row = start + int(np.flatnonzero(bad.reshape(len(bad), -1).any(axis=1))[0])
        return f"row {row} holds NaN or Inf"

    def _token(self, values: NDArray[Any], start: int) -> str | None:
        inside = max(self._rows - start, 0)
        if problem := _padding(values, inside, start):
            return problem
        if (imported := self._frozen.imported) is not None:
            if "tokens" in imported.unknown:
                return None if (values[:inside] == UNKNOWN_TOKEN).all() else "a token, and the tokens are unknown"
            return None if (values[:inside] >= 0).all() else "a token is less than 0"
        letter_N = None if self._planned is None else self._planned.letter_N
        if letter_N is None:
            return None if (values[:inside] >= 0).all() else "a token is less than 0"
        here_N = letter_N[start : start + len(values)]
        problem = self._tokens.problem(here_N, values[: len(here_N)])
        return None if problem is None else f"rows from {start} on have {problem}"

    def _column(self, name: str, values: NDArray[Any], start: int, wanted_N: NDArray[Any]) -> str | None:
        here_N = wanted_N[start : start + len(values)]
        wrong = np.flatnonzero(values[: len(here_N)] != here_N)
        if len(wrong):
            row = int(wrong[0])
            return f"row {start + row} has {name} {values[row]}, the plan {here_N[row]}"
        return _padding(values, len(here_N), start)


def _padding(values: NDArray[Any], inside: int, start: int) -> str | None:
    wrong = np.flatnonzero(values[inside:] != HOLE)
    if not len(wrong):
        return None
    return f"row {start + inside + int(wrong[0])} lies after the last one, and is not empty"
