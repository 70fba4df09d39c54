"""Tables in Markdown, and their places in a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

__all__ = ["MISSING", "fill_in", "load_note", "machine_line", "spread_cell", "table"]

MISSING: Final = "–"


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Examples
    --------
    >>> print(table(["encoding", "bits"], [["int8", "8.02"]]))
    | encoding | bits |
    | --- | --- |
    | int8 | 8.02 |
    """
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def fill_in(text: str, kind: str, bodies: Mapping[str, Callable[[], str]]) -> str:
    r"""Return a document with what stands between `<!-- KIND:NAME -->` and `<!-- /KIND:NAME -->` replaced.

    Raises
    ------
    ValueError
        If the document asks for a table that nobody makes.

    Examples
    --------
    >>> fill_in("<!-- plans:one -->\nold\n<!-- /plans:one -->", "plans", {"one": lambda: "new"})
    '<!-- plans:one -->\nnew\n<!-- /plans:one -->'
    """

    def section(match: re.Match[str]) -> str:
        if match[2] not in bodies:
            raise ValueError(f"no table {match[2]!r}; there are {', '.join(bodies)}")
        return f"{match[1]}{bodies[match[2]]()}\n{match[3]}"

    return re.sub(rf"(<!-- {kind}:(\w+) -->\n).*?(<!-- /{kind}:\2 -->)", section, text, flags=re.DOTALL)


def spread_cell(of: Mapping[str, float], *, digits: int = 2, sign: str = "") -> str:
    """Return the median, with least and most in brackets.

    Examples
    --------
    >>> spread_cell({"median": 1.5, "least": 1.0, "most": 2.0})
    '1.50 (1.00 to 2.00)'
    """
    median, least, most = (f"{of[field]:{sign}.{digits}f}" for field in ("median", "least", "most"))
    return f"{median} ({least} to {most})"


def machine_line(results: Mapping[str, Any]) -> str:
    """Return the machine and the commit of some results, in a sentence."""
    machine = results["machine"]
    return (
        f"{machine['processor']}, {machine['cores']} cores, torch {machine['torch']}, NumPy {machine['numpy']}, "
        f"commit {results['commit']}{load_note(results)}."
    )


def load_note(results: Mapping[str, Any]) -> str:
    """Return a remark for results that do not say how busy the machine was."""
    return "" if "load" in results else ", load of the machine not recorded"
