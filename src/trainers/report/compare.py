"""What runs have in common, what distinguishes them, and which of them are best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trainers.report.reported import ReportedRun

__all__ = ["HEADS", "common_settings", "different_settings", "front", "remarks", "result_cells", "setting_text"]

HEADS: Final = ("run", "dictionary", "latents", "k", "L0", "explained", "dead", "silent", "state")
"""Columns of the table of results."""
_NONE: Final = "-"


def result_cells(run: ReportedRun) -> tuple[str, ...]:
    """Return the row of a run in the table of results."""
    result, settings = run.result, run.settings()
    latents = run.latents_number
    numbers = (_NONE,) * 4
    if result is not None:
        numbers = (
            f"{result.l0:.1f}",
            _NONE if result.explained_variance is None else f"{result.explained_variance:.4f}",
            _NONE if result.dead_fraction is None else f"{result.dead_fraction:.1%}",
            f"{result.silent_fraction:.1%}",
        )
    kept = setting_text(settings.get("k"))
    return (run.name, settings["dictionary"], setting_text(latents), kept, *numbers, run.state)


def front(runs: Sequence[ReportedRun]) -> list[ReportedRun]:
    """Return the finished runs than which no other explains as much with as few active latents, by L0.

    Of runs that are equal in both, all are on the front.
    """
    scored = [(run, one.l0, one.explained_variance) for run in runs if (one := run.result) is not None]
    best = [
        (l0, run)
        for run, l0, explained in scored
        if explained is not None
        and not any(
            other is not None and fewer <= l0 and other >= explained and (fewer, other) != (l0, explained)
            for _, fewer, other in scored
        )
    ]
    return [run for _, run in sorted(best, key=lambda one: one[0])]


def common_settings(runs: Sequence[ReportedRun]) -> dict[str, Any]:
    """Return the settings that all runs have, with a value."""
    first = runs[0].settings()
    others = [run.settings() for run in runs[1:]]
    return {
        name: value
        for name, value in first.items()
        if value is not None and all(one.get(name, value) == value for one in others)
    }


def different_settings(runs: Sequence[ReportedRun]) -> dict[str, list[Any]]:
    """Return the settings in which runs differ, with the value of each run; None for one that it does not have."""
    settings = [run.settings() for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    values = {name: [one.get(name) for one in settings] for name in names}
    known = {name: [one[name] for one in settings if name in one] for name in names}
    return {name: values[name] for name in names if any(one != known[name][0] for one in known[name])}


def setting_text(value: object) -> str:
    """Return a setting as it is shown.

    Examples
    --------
    >>> [setting_text(value) for value in (None, 0.0070710678, 4096, "unit", False)]
    ['-', '0.00707107', '4,096', 'unit', 'False']
    """
    match value:
        case None:
            return _NONE
        case float():
            return f"{value:.6g}"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
    return str(value)


def remarks(runs: Sequence[ReportedRun]) -> list[str]:
    """Return what a reader has to know before comparing numbers."""
    said = []
    stores = {run.store for run in runs if run.store is not None}
    if len(stores) > 1:
        digests = ", ".join(sorted(f"{store[:12]}..." for store in stores))
        said.append(f"The runs read {len(stores)} stores (manifests {digests}): their numbers are of different rows.")
    if len({run.sites for run in runs if run.record is not None}) > 1:
        said.append("The runs read different sites: explained variances of different sites are not comparable.")
    splits = {run.result.evaluated_on for run in runs if run.result is not None}
    if len(splits) > 1:
        said.append(f"The runs were scored on different splits: {', '.join(sorted(splits))}.")
    return said
