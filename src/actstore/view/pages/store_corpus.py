"""The proteins of a store, and how well its batches are mixed."""

from __future__ import annotations

from actstore.view.counted import knows_proteins, lacks_tasks, sequences_title
from actstore.view.pages.axes import Axis, linear_axis, log_axis
from actstore.view.pages.charts import Labels, bar_chart
from actstore.view.pages.document import facts as fact_list
from actstore.view.pages.document import figure, table
from actstore.view.pages.markup import Markup, element
from actstore.view.pages.store_facts import StoreFacts

__all__ = ["mixing", "proteins"]


def proteins(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return lengths and residues, as far as they are known."""
    found, report = facts.proteins, facts.report
    if not knows_proteins(facts.manifest):
        why = f"The files do not say of which proteins their rows are; they were taken in {report.sequences:,} blocks."
        return (element("p", why, class_="note"),)
    of = f"a sample of {found.proteins:,} of {report.sequences:,} proteins"
    of = "all proteins" if found.proteins == report.sequences else of
    rows = f"{report.rows / max(report.residues, 1):.1%} of them become rows"
    if lacks_tasks(facts.manifest):
        of, rows = f"{of} of the whole store", f"{report.rows:,} of them have rows here"
    shortest, low, median, high, longest = found.length_quantiles
    lengths = table(
        ("length", "residues"),
        [
            *(
                (name, f"{value:,}")
                for name, value in (
                    ("shortest", shortest),
                    ("5 %", low),
                    ("median", median),
                    ("95 %", high),
                    ("longest", longest),
                )
            ),
            ("mean", f"{found.mean_length:,.1f}"),
        ],
    )
    skipped = ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items()) or "none"
    return (
        fact_list(
            {
                sequences_title(facts.manifest): f"{report.sequences:,}",
                "residues": f"{report.residues:,}; {rows}",
                "left out": skipped,
            }
        ),
        figure("Lengths", _lengths(facts), note=f"Of {of}. Bars have edges with equal ratios.", numbers=lengths),
        *_residues(facts, of),
    )


def mixing(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return how well batches are mixed."""
    if facts.mixing is None:
        why = "There are too few rows for two batches" if facts.report.complete else "Tasks are missing"
        why = "This is a part of a store" if lacks_tasks(facts.manifest) else why
        return (element("p", f"{why}, so this was not measured.", class_="note"),)
    split, batch_rows, found = facts.mixing
    sequences = "proteins" if knows_proteins(facts.manifest) else "blocks"
    rows = [
        (
            f"distinct {sequences} in a batch",
            f"{found.distinct_sequences:,.1f}",
            f"{found.distinct_sequences_uniform:,.1f}",
        ),
        ("rows whose neighbour is in the batch", f"{found.neighbours:.2%}", f"{found.neighbours_uniform:.2%}"),
        ("correlation of row numbers in a batch", f"{found.serial_correlation:.3f}", "0.000"),
    ]
    return (
        element(
            "p",
            f"A batch holds {found.distinct_ratio:.1%} of the distinct {sequences} that it would hold after a "
            "uniform shuffle of all rows.",
        ),
        table(("", "measured", "uniform shuffle"), rows, caption="Mixing of batches beside a uniform shuffle"),
        element(
            "p",
            f"Means over {found.batches:,} batches of {batch_rows:,} rows of the split {split}, as open_stream gives "
            "them by default.",
            class_="note",
        ),
    )


def _lengths(facts: StoreFacts) -> Markup:
    found = facts.proteins
    shortest, low, median, high, longest = found.length_quantiles
    edges, counts = found.length_edges, found.length_counts
    labels = Labels(
        "lengths",
        title="Number of proteins by their length",
        description=f"From {shortest:,} to {longest:,} residues; median {median:,}, "
        f"nine of ten from {low:,} to {high:,}.",
        x="residues, logarithmic",
        y="proteins",
        x_text=lambda x: f"{x:,.0f}",
        y_text=lambda y: f"{y:,.0f}" if y == round(y) else "",
    )
    return bar_chart(edges, counts, log_axis([max(edges[0], 1.0), edges[-1]]), linear_axis(0.0, max(counts)), labels)


def _residues(facts: StoreFacts, of: str) -> tuple[Markup, ...]:
    imported = facts.manifest.frozen.imported
    if imported is not None and "residues" in imported.unknown:
        return (element("p", "The files do not say of which residues their rows are.", class_="note"),)
    found = facts.proteins.residues
    total = sum(found.values())
    shares = {letter: count / total for letter, count in found.items()}
    edges = [float(place) for place in range(len(shares) + 1)]
    letters = list(shares)
    middles = tuple(place + 0.5 for place in edges[:-1])
    labels = Labels(
        "residues",
        title="Share of each residue",
        description=", ".join(f"{letter} {share:.1%}" for letter, share in shares.items()),
        x="residue",
        y="share",
        x_text=lambda x: letters[int(x)],
        y_text=lambda y: f"{100 * y:.3g} %",
    )
    bars = [(place + 0.1, place + 0.9) for place in edges[:-1]]
    flat = [edge for pair in bars for edge in pair]
    heights = [value for share in shares.values() for value in (share, 0.0)][:-1]
    x_axis = Axis(0.0, edges[-1], middles)
    drawn = bar_chart(flat, heights, x_axis, linear_axis(0.0, max(shares.values())), labels)
    numbers = table(
        ("residue", "count", "share"),
        [(letter, f"{count:,}", f"{shares[letter]:.2%}") for letter, count in found.items()],
    )
    note = f"Share of each letter in {of}, whether kept as a row or not."
    return (figure("Residues", drawn, note=note, numbers=numbers),)
