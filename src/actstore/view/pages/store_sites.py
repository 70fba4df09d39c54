"""The sites of a store: norms, channels, quantisation error, and the spectrum of their variance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from actstore.store.browse.row_sample import SampledSite
from actstore.view.pages.axes import Axis, linear_axis, log_axis
from actstore.view.pages.charts import Labels, Line, line_chart
from actstore.view.pages.document import figure, table
from actstore.view.pages.markup import Markup, element
from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.strips import Scale, Strip, density, nothing, span, strip_table

__all__ = ["channels", "error", "norms", "variance"]

_DRAWN_LINES: Final = 5
_CHANNEL_BINS: Final = 80
_SHARES: Final = (0.5, 0.9, 0.95, 0.99)
_POINTS: Final = 60
_NONE: Final = "–"


def norms(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return the norms of the rows at each site."""
    statistics, sample = facts.manifest.statistics, facts.rows
    if sample is None:
        return (_no_rows(),)
    axis = log_axis([sample.norm_edges[0], sample.norm_edges[-1]])
    mean = _aligned([one.mean_norm for one in statistics.values()])
    largest = _aligned([one.max_abs for one in statistics.values()])
    strips = []
    for site in facts.manifest.sites:
        known, drawn = statistics[site.name], sample.sites.get(site.name)
        if drawn is None:
            picture, between = nothing("not sampled"), (_NONE, _NONE)
        else:
            low, median, high = drawn.norm_quantiles
            picture = density(axis, sample.norm_edges, drawn.norm_counts, marks=[median] if median > 0 else [])
            between = (mean(low), mean(high))
        strips.append(Strip(site.name, picture, (mean(known.mean_norm), *between, largest(known.max_abs))))
    return (
        figure(
            "L2 norm of the rows at each site",
            strip_table(
                Scale("norm of a row, logarithmic", axis, _tick),
                ("site", "mean norm", "5 % below", "5 % above", "largest value"),
                strips,
            ),
            note=f"Shapes and percentiles are of a sample of {sample.rows:,} rows; the line is the median. Mean norm "
            f"and largest value are of all {facts.report.rows_done:,} rows {_measured(facts)}.",
        ),
    )


def channels(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return how much the channels of each site differ in size."""
    if facts.rows is None:
        return (_no_rows(),)
    ratios = {name: _ratios(known.mean_D, known.variance_D) for name, known in facts.manifest.statistics.items()}
    every = np.concatenate([*(ratio_D[ratio_D > 0] for ratio_D in ratios.values()), np.ones(1)])
    axis = log_axis([float(every.min()), float(every.max())])
    edges = np.geomspace(axis.low, axis.high, _CHANNEL_BINS + 1)
    strips = []
    for site in facts.manifest.sites:
        ratio_D, outliers = ratios[site.name], facts.manifest.statistics[site.name].outlier_channels
        counts = np.histogram(ratio_D[ratio_D > 0], bins=edges)[0].tolist()
        marks = [ratio for one in outliers if (ratio := float(ratio_D[one.channel])) > 0]
        picture = density(axis, edges.tolist(), counts, marks=marks)
        # A channel and its ratio stay on one line.
        named = Markup(", ".join(f"{one.channel}&nbsp;({one.ratio:.0f}x)" for one in outliers) or "none")
        strips.append(Strip(site.name, picture, (f"{site.width:,}", f"{ratio_D.max():.1f}x", named)))
    return (
        figure(
            "Size of the channels of each site",
            strip_table(
                Scale("root mean square of a channel over that of the median channel", axis, lambda x: f"{x:g}x"),
                ("site", "channels", "largest", "outliers"),
                strips,
                words=True,
            ),
            note=f"All rows, {_measured(facts)}. Outliers are channels of at least eight times the median channel, "
            "with their number and ratio, and at most eight are named; each has a line.",
        ),
    )


def error(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return what the encoding loses at each site."""
    if facts.rows is None:
        return (_no_rows(),)
    copied = facts.manifest.frozen.imported
    if copied is not None and copied.from_store:
        encoded = f"The rows are encoded ({facts.report.encoding}) as in the store with manifest {copied.digest}"
        return (element("p", f"{encoded}, which knows what that loses."),)
    statistics, encoding = facts.manifest.statistics, facts.report.encoding
    known = [one for one in statistics.values() if one.sqnr_worst_db is not None and one.sqnr_median_db is not None]
    if not known:
        return (element("p", f"Decoded rows equal the rows before encoding ({encoding}): nothing is lost."),)
    ends = [db for one in known for db in (one.sqnr_worst_db, one.sqnr_median_db) if db is not None]
    axis = linear_axis(min(ends) - 2, max(ends) + 2)
    strips = []
    for site in facts.manifest.sites:
        one = statistics[site.name]
        low, high = one.sqnr_worst_db, one.sqnr_median_db
        if low is None or high is None:
            strips.append(Strip(site.name, nothing("nothing is lost"), (_NONE,) * 4))
            continue
        worst = _NONE if one.sqnr_worst_channel is None else str(one.sqnr_worst_channel)
        lost = f"{10 ** (-high / 20):.2%}"
        strips.append(Strip(site.name, span(axis, low, high), (f"{high:.1f} dB", f"{low:.1f} dB", worst, lost)))
    clamped = sum(one.saturated for one in statistics.values())
    return (
        figure(
            f"Error of {encoding} at each site",
            strip_table(
                Scale("signal to noise in dB: worst channel (line), median channel (dot)", axis, lambda x: f"{x:g}"),
                ("site", "median", "worst", "worst channel", "relative error"),
                strips,
            ),
            note="Variance of a channel over the mean squared error after decoding, measured on all rows during "
            "extraction; more is better. The relative error is that of the median channel, in its standard deviations. "
            f"Values clamped to the range of the encoding: {clamped:,}.",
        ),
    )


def variance(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return how many principal components explain the variance at each site."""
    if facts.rows is None:
        return (_no_rows(),)
    sites = {name: one for name, one in facts.rows.sites.items() if one.variance_K.sum() > 0}
    if not sites:
        return (element("p", "The sampled rows are all equal, so there is no variance to explain.", class_="note"),)
    most = max(len(one.variance_K) for one in sites.values())
    x_axis = log_axis([1.0, float(most)], ticks=_counts(most))
    names = list(sites)
    chosen = {names[int(index)] for index in np.linspace(0, len(names) - 1, min(_DRAWN_LINES, len(names))).round()}
    lines = [Line(name, _cumulative(sites[name]), marked=False, faint=name not in chosen) for name in names]
    labels = Labels(
        "variance",
        title="Share of the variance that the first principal components explain",
        description="; ".join(
            f"{name}: 90 % with {_needed(sites[name], 0.9):,} components" for name in names if name in chosen
        ),
        x="principal components, logarithmic",
        y="variance explained",
        x_text=lambda x: f"{x:,.0f}",
        y_text=lambda y: f"{y:.0%}",
    )
    others = " Grey: the other sites." if len(chosen) < len(names) else ""
    return (
        figure(
            "Variance explained by the first principal components",
            line_chart(lines, x_axis, Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0)), labels),
            _needed_table(sites, facts.manifest.frozen.sites),
            note=f"Principal components of {facts.rows.rows:,} decoded rows, less their mean.{others} A sample has "
            "fewer directions than all rows: where its rows are not many times the features, curves rise too early.",
        ),
    )


def _needed_table(sites: Mapping[str, SampledSite], widths: Sequence[tuple[str, str, int]]) -> Markup:
    width_of = {name: width for name, _, width in widths}
    heads = ("site", "features", *(f"{share:.0%}" for share in _SHARES), "effective")
    body = [
        (name, f"{width_of[name]:,}", *(f"{_needed(one, share):,}" for share in _SHARES), f"{_effective(one):,.1f}")
        for name, one in sites.items()
    ]
    caption = "Components that explain a share of the variance, and the effective number of dimensions"
    note = element(
        "p", "Effective number: the square of the total variance over the sum of the squared variances.", class_="note"
    )
    return element("div", table(heads, body, caption=caption), note)


def _cumulative(site: SampledSite) -> tuple[tuple[float, float], ...]:
    """Return points of the curve at about even distances on a logarithmic axis, the last one too."""
    share_K = site.variance_K.cumsum() / site.variance_K.sum()
    count_P = np.unique(np.geomspace(1, len(share_K), _POINTS).round().astype(int))
    return tuple((float(count), float(share_K[count - 1])) for count in count_P.tolist())


def _needed(site: SampledSite, share: float) -> int:
    share_K = site.variance_K.cumsum() / site.variance_K.sum()
    return int(np.searchsorted(share_K, share - 1e-12)) + 1


def _effective(site: SampledSite) -> float:
    return float(site.variance_K.sum() ** 2 / np.square(site.variance_K).sum())


def _counts(most: int) -> tuple[float, ...]:
    """Return numbers of components for the grid.

    Examples
    --------
    >>> _counts(128)
    (1.0, 10.0, 100.0, 128.0)
    """
    powers = [10.0**power for power in range(len(str(most))) if 10**power < most]
    return (*powers, float(most))


def _ratios(mean_D: NDArray[np.float64], variance_D: NDArray[np.float64]) -> NDArray[np.float64]:
    rms_D = np.sqrt(mean_D**2 + variance_D)
    median = float(np.median(rms_D))
    return rms_D / median if median > 0 else np.zeros_like(rms_D)


def _aligned(numbers: Sequence[float]) -> Callable[[float], str]:
    """Return how the numbers of a column are written: the largest with four digits, all with as many decimals.

    Examples
    --------
    >>> text = _aligned([184.19, 10.874])
    >>> text(184.19), text(10.874)
    ('184.2', '10.9')
    """
    largest = max((abs(number) for number in numbers), default=0.0)
    decimals = 3 - math.floor(math.log10(largest)) if largest > 0 else 0
    return lambda number: f"{number:,.{min(max(decimals, 0), 6)}f}"


def _tick(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:g}"


def _measured(facts: StoreFacts) -> str:
    """Return which values the statistics are of."""
    imported = facts.manifest.frozen.imported
    return "after decoding" if imported is not None and imported.from_store else "before encoding"


def _no_rows() -> Markup:
    return element("p", "No task is extracted yet.", class_="note")
