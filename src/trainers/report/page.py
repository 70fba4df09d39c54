"""One self-contained HTML page that compares runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from actstore import pages
from trainers.report.compare import (
    HEADS,
    common_settings,
    different_settings,
    front,
    remarks,
    result_cells,
    setting_text,
)
from trainers.report.density import bin_edges, density_of
from trainers.report.reported import Point, ReportedRun

__all__ = ["report_page"]

_MOST_LINES: Final = 5
_MOST_POINTS: Final = 200
_WIDE: Final = 20.0
"""From this ratio of the largest to the least on, an axis of L0 is logarithmic."""
_EARLY: Final = 0.1
"""Share of the rows at the beginning whose explained variance does not decide how low its axis goes."""
_NONE: Final = "-"


def report_page(title: str, runs: Sequence[ReportedRun]) -> str:
    """Return an HTML document: results, Pareto front, curves, densities of latents, settings."""
    best = {run.name for run in front(runs)}
    sections = [
        pages.Section("results", "Results", (*_remarks(runs), _results(runs))),
        pages.Section("front", "Sparsity and fidelity", _pareto(runs, best)),
        pages.Section("curves", "Training", _curves(runs)),
        pages.Section("latents", "Latents", _latents(runs)),
        pages.Section("settings", "Settings", _settings(runs)),
    ]
    if failed := [run for run in runs if run.failure is not None]:
        said = pages.facts({run.name: run.failure or "" for run in failed})
        sections.append(pages.Section("failures", "Failures", (said,)))
    head = [
        pages.element("p", "trainer report", class_="kind"),
        pages.element("h1", title),
        pages.facts(_headline(runs)),
    ]
    return pages.page(title, head, sections, "Made by trainer report.")


def _headline(runs: Sequence[ReportedRun]) -> dict[str, str]:
    states = Counter("unfinished" if run.state.endswith("steps") else run.state for run in runs)
    stores = {run.store: run for run in runs if run.store is not None}
    said = {"runs": f"{len(runs):,}: " + ", ".join(f"{count:,} {state}" for state, count in states.items())}
    for digest, run in stores.items():
        origin = run.record.origin if run.record is not None else None
        of_model = "" if origin is None else f", {origin.model} as {origin.encoding}"
        said["store" if len(stores) == 1 else f"store {digest[:12]}"] = f"{run.source or 'unknown'}{of_model}"
    if len(stores) == 1:
        said["manifest"] = next(iter(stores))
    sites = {run.sites for run in runs}
    if len(sites) == 1:
        said["sites"] = ", ".join(next(iter(sites)))
    return said


def _remarks(runs: Sequence[ReportedRun]) -> list[pages.Markup]:
    return [pages.element("p", said) for said in remarks(runs)]


def _results(runs: Sequence[ReportedRun]) -> pages.Markup:
    scored = {(run.result.evaluated_rows, run.result.evaluated_on) for run in runs if run.result is not None}
    rows = "; ".join(f"{number:,} rows of the split {split}" for number, split in sorted(scored))
    return pages.joined(
        [
            pages.table(HEADS, [result_cells(run) for run in runs]),
            pages.element(
                "p",
                f"Scored on {rows or 'nothing yet'}. Explained: share of the variance. Dead: latents that fired on "
                "none of the last rows of training. Silent: latents active on none of the scored rows.",
                class_="note",
            ),
        ]
    )


def _pareto(runs: Sequence[ReportedRun], best: set[str]) -> tuple[pages.Markup, ...]:
    """Return L0 against explained variance, dictionaries apart, with the front."""
    places = [
        (run, run.result.l0, run.result.explained_variance)
        for run in runs
        if run.result is not None and run.result.explained_variance is not None and run.result.l0 > 0
    ]
    if not places:
        return (_nothing("No run has a result yet."),)
    kinds = Counter(run.config.dictionary for run, *_ in places)
    shown = [kind for kind, _ in kinds.most_common()]
    if len(shown) > _MOST_LINES - 1:
        shown = shown[: _MOST_LINES - 2]
    points: dict[str, list[tuple[float, float]]] = {kind: [] for kind in shown}
    for run, l0, explained in places:
        kind = run.config.dictionary if run.config.dictionary in points else "other dictionaries"
        points.setdefault(kind, []).append((l0, explained))
    on_front = tuple(sorted((l0, explained) for run, l0, explained in places if run.name in best))
    lines = [
        *(pages.Line(kind, tuple(found), joined=False) for kind, found in points.items()),
        pages.Line("Pareto front", on_front, marked=False),
    ]
    most, least = max(l0 for _, l0, _ in places), min(l0 for _, l0, _ in places)
    x_axis = pages.log_axis([least, most]) if most / least > _WIDE else pages.linear_axis(least, most)
    y_axis = pages.linear_axis(min(one for *_, one in places), max(one for *_, one in places))
    labels = pages.Labels(
        "front",
        title="L0 against explained variance",
        description=f"On the front: {', '.join(run.name for run, *_ in places if run.name in best)}. The numbers are "
        "in the table below.",
        x="L0: active latents of a row",
        y="explained variance",
        x_text=lambda x: f"{x:g}",
        y_text=lambda y: f"{y:g}",
    )
    numbers = pages.table(
        ("run", "L0", "explained variance", "on the front"),
        [
            (run.name, f"{l0:.1f}", f"{explained:.4f}", "yes" if run.name in best else "no")
            for run, l0, explained in sorted(places, key=lambda one: one[1])
        ],
    )
    note = "Left and up is better. On the front are the runs than which no other explains as much with as few latents."
    chart = pages.line_chart(lines, x_axis, y_axis, labels)
    return (pages.figure("Fidelity by sparsity", chart, numbers=numbers, note=note),)


def _curves(runs: Sequence[ReportedRun]) -> tuple[pages.Markup, ...]:
    held_out = all(map(_on_held_out, [run for run in runs if run.result is not None] or runs))
    caption = f"Explained variance {'on held-out rows' if held_out else 'in the batch'}"
    found = [
        _curve(runs, "explained", caption, "explained variance", _explained(held_out=held_out)),
        _curve(runs, "l0", "Active latents of a row, in the batch", "L0", lambda point: point.l0),
        _curve(runs, "dead", "Dead latents", "share of the latents", lambda point: point.dead),
    ]
    figures = tuple(one for one in found if one is not None)
    return figures or (_nothing("No run has logged a step yet."),)


def _on_held_out(run: ReportedRun) -> bool:
    return sum(point.explained_variance is not None for point in run.curve) > 1


def _explained(*, held_out: bool) -> Callable[[Point], float | None]:
    return lambda point: point.explained_variance if held_out else point.batch_explained_variance


def _curve(
    runs: Sequence[ReportedRun], identity: str, caption: str, unit: str, value: Callable[[Point], float | None]
) -> pages.Markup | None:
    points = {
        run.name: _thinned([(point.rows, y) for point in run.curve if (y := value(point)) is not None]) for run in runs
    }
    drawn = [run for run in runs if points[run.name]]
    if not drawn:
        return None
    stressed = {run.name for run in _stressed(drawn)}
    lines = [
        pages.Line(run.name, points[run.name], marked=len(points[run.name]) == 1, faint=run.name not in stressed)
        for run in drawn
    ]
    every = [point for line in lines for point in line.points]
    most = max(x for x, _ in every)
    low = min((y for x, y in every if x > _EARLY * most), default=min(y for _, y in every))
    labels = pages.Labels(
        identity,
        title=caption,
        description="; ".join(f"{line.name}: {line.points[-1][1]:.4g} at the end" for line in lines if not line.faint)
        + ". The numbers are in the table below.",
        x="rows trained on",
        y=unit,
        x_text=_count,
        y_text=lambda y: f"{y:g}",
    )
    # What is low at first would leave no room for what matters.
    y_axis = pages.linear_axis(low if identity == "explained" else 0.0, max(y for _, y in every))
    inside = [line._replace(points=tuple((x, max(y, y_axis.low)) for x, y in line.points)) for line in lines]
    rest = f" Grey: the other {len(drawn) - len(stressed)} runs." if len(drawn) > len(stressed) else ""
    numbers = pages.table(
        ("run", "first", "half-way", "last", "rows"),
        [(line.name, *(f"{y:.4g}" for _, y in _three(line.points)), f"{line.points[-1][0]:,.0f}") for line in lines],
    )
    chart = pages.line_chart(inside, pages.linear_axis(0, most), y_axis, labels)
    return pages.figure(caption, chart, numbers=numbers, note=f"Over the rows trained on.{rest}")


def _stressed(runs: Sequence[ReportedRun]) -> list[ReportedRun]:
    """Return the runs whose lines are told apart: the best ones, if there are too many."""
    best = sorted(runs, key=lambda run: math.inf if (explained := _final(run)) is None else -explained)
    chosen = {run.name for run in best[:_MOST_LINES]}
    return [run for run in runs if run.name in chosen]


def _final(run: ReportedRun) -> float | None:
    return None if run.result is None else run.result.explained_variance


def _thinned(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return at most so many points, each the mean of its neighbours; the last is kept as it is."""
    if len(points) <= _MOST_POINTS:
        return tuple(points)
    size = -(-len(points) // _MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points) - 1, size)]
    return (*((sum(x for x, _ in one) / len(one), sum(y for _, y in one) / len(one)) for one in groups), points[-1])


def _three(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return points[0], points[len(points) // 2], points[-1]


def _latents(runs: Sequence[ReportedRun]) -> tuple[pages.Markup, ...]:
    edges = bin_edges(runs)
    found = [(run, one) for run in runs if (one := density_of(run, edges)) is not None]
    if not found:
        return (_nothing("No run has counted its latents: that is done when a run is scored at its end."),)
    axis = pages.log_axis([edges[0], edges[-1]])
    strips = [
        pages.Strip(
            run.name,
            pages.density(axis, edges, one.counts),
            (
                f"{len(run.latents.fired_F) if run.latents is not None else 0:,}",
                _NONE if one.median is None else f"{one.median:.2g}",
                f"{one.silent:,}",
                f"{one.dead:,}",
            ),
        )
        for run, one in found
    ]
    strips_table = pages.strip_table(
        pages.Scale("share of the rows on which a latent is active", axis, lambda x: f"{x:g}"),
        ("run", "latents", "median", "silent", "dead"),
        strips,
    )
    note = (
        "Latents by how often they are active on the scored rows; each picture is as high as its highest bar. The "
        "median is of those that are active at all. Latents above a tenth of the rows say little about a row."
    )
    return (pages.figure("How often latents fire", strips_table, note=note),)


def _settings(runs: Sequence[ReportedRun]) -> tuple[pages.Markup, ...]:
    different, common = different_settings(runs), common_settings(runs)
    parts = []
    if different and len(runs) > 1:
        rows = [(run.name, *map(setting_text, values)) for run, *values in zip(runs, *different.values(), strict=True)]
        heads = ("run", *(name.replace("_", " ") for name in different))
        parts.append(pages.table(heads, rows, caption="Settings in which the runs differ"))
    parts.append(pages.element("h3", "Settings of all runs" if len(runs) > 1 else "Settings of the run"))
    parts.append(pages.facts({name.replace("_", " "): setting_text(value) for name, value in common.items()}))
    return tuple(parts)


def _nothing(why: str) -> pages.Markup:
    return pages.element("p", why, class_="note")


def _count(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{unit}"
    return f"{number:g}"
