"""Overview of a store: key numbers, splits and completeness, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from actstore.redaction import without_secrets
from actstore.store.read.manifest import Manifest
from actstore.view.counted import counted_rows, knows_proteins, lacks_tasks, part_text, sequences_title
from actstore.view.grids import human_bytes, human_count
from actstore.view.pages.axes import linear_axis
from actstore.view.pages.document import facts as fact_list
from actstore.view.pages.document import figure, table
from actstore.view.pages.markup import Markup, element, joined
from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.strips import Scale, Strip, bar, strip_table

__all__ = ["completeness", "heading", "model_title", "sizes"]

_MOST_CELLS: Final = 1000
_STATES: Final = {"done": "extracted", "part": "partly extracted", "left": "not extracted yet"}


def model_title(facts: StoreFacts) -> str:
    """Return the name of the model without the folders before it."""
    name = without_secrets(facts.manifest.model.name)  # before it is cut: half an address is not recognised
    return name.rstrip("/").rpartition("/")[2] or name


def heading(facts: StoreFacts) -> list[Markup]:
    """Return what the store is, and its key numbers."""
    report, manifest = facts.report, facts.manifest
    widths = sorted({site.width for site in manifest.sites})
    sites = "site" if len(manifest.sites) == 1 else "sites"
    state = "Complete" if report.complete else f"{report.tasks_done:,} of {report.tasks_total:,} tasks"
    part = f" It is a part: {text}." if (text := part_text(manifest)) else ""
    numbers = {
        "Rows": (human_count(report.rows_done), "kept" if report.complete else f"of {report.rows:,} planned"),
        "Proteins": _proteins(facts),
        "Sites": (f"{len(manifest.sites):,}", f"{' or '.join(f'{width:,}' for width in widths[:3])} features each"),
        "Encoding": (
            report.encoding,
            f"{report.bits_per_value:.2f} bits a value" if report.bytes_per_row else "no rows yet",
        ),
        "Size": (human_bytes(report.bytes_total), f"{report.objects:,} objects"),
        "State": (state, "every task extracted" if report.complete else f"{report.rows_done:,} rows"),
    }
    return [
        element("p", "actstore · activation store", class_="kind"),
        element("h1", f"Activations of {model_title(facts)}"),
        element(
            "p",
            f"What {manifest.model.architecture} computes inside, at {len(manifest.sites):,} {sites}, "
            f"{'' if report.complete else 'to be '}kept for {counted_rows(manifest)}.{part}",
            class_="lead",
        ),
        element(
            "dl",
            *(
                element("div", element("dt", name), element("dd", value), element("dd", more))
                for name, (value, more) in numbers.items()
            ),
            class_="figures",
        ),
    ]


def _proteins(facts: StoreFacts) -> tuple[str, str]:
    report = facts.report
    if not knows_proteins(facts.manifest):
        return "unknown", f"rows in {report.sequences:,} blocks"
    here = " in the whole store" if lacks_tasks(facts.manifest) else ""
    return human_count(report.sequences), f"{human_count(report.residues)} residues{here}"


def completeness(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return the splits, and a map of the tasks."""
    report = facts.report
    rows = [
        (
            name,
            f"{split.sequences:,}",
            f"{split.rows:,}",
            f"{split.rows / max(report.rows, 1):.1%}",
            f"{split.tasks_done:,} / {split.tasks_total:,}",
        )
        for name, split in report.splits.items()
    ]
    numbers = table(("split", sequences_title(facts.manifest), "rows", "of all rows", "tasks done"), rows)
    each = -(-report.tasks_total // _MOST_CELLS)
    note = "Tasks are extracted and committed as a whole. " + (
        f"A square stands for {each:,} tasks." if each > 1 else "A square stands for one task."
    )
    title = f"Tasks: {report.tasks_done:,} of {report.tasks_total:,} extracted"
    drawn = element(
        "div",
        *(_split_map(name, done, each) for name, done in _states(facts.manifest)),
        class_="map",
        role="img",
        aria_label=f"{title}. The table has the numbers of each split.",
    )
    shown = list(_STATES) if each > 1 else ["done", "left"]
    key = element("ul", *(_key(state) for state in shown), class_="key")
    return (figure("Splits and tasks", numbers, drawn, key, note=note),)


def sizes(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return the size of a store beside what its rows would take otherwise."""
    report = facts.report
    if not report.bytes_per_row:
        return (element("p", "No values are stored yet, so nothing is known of its size.", class_="note"),)
    features = sum(site.width for site in facts.manifest.sites)
    row = "residue" if knows_proteins(facts.manifest) else "row"
    kind = "part" if lacks_tasks(facts.manifest) else "store"
    amounts = {
        f"every {row} in float32": 4.0 * features * report.residues,
        f"every {row} in 16 bit": 2.0 * features * report.residues,
        f"the kept {row}s in 16 bit": 2.0 * features * report.rows,
        f"this {kind}: {report.encoding}": report.bytes_per_row * report.rows,
    }
    if kind == "part":  # the residues are those of the whole store
        amounts = dict(list(amounts.items())[2:])
    elif report.rows == report.residues:
        del amounts[f"the kept {row}s in 16 bit"]
    axis = linear_axis(0.0, max(amounts.values()))
    own_name, own = list(amounts.items())[-1]
    strips = [
        Strip(name, bar(axis, size, own=name == own_name), (human_bytes(size), f"{size / own:.2f}x"))
        for name, size in amounts.items()
    ]
    scale = Scale("values and scales", axis, lambda size: human_bytes(size).replace(".0 ", " "))
    tried = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in report.compressor_ratios.items())
    return (
        figure(
            "What the same rows would take",
            strip_table(scale, ("stored as", "bytes", f"beside this {kind}"), strips, stressed=own_name),
            note=f"At the same sites, for the whole plan of the {kind}. Fewer {row}s and fewer bits both save.",
        ),
        fact_list(
            {
                "stored now": f"{report.bytes_total:,} bytes in {report.objects:,} objects",
                "a row": f"{report.bytes_per_row:,.0f} bytes, {report.ratio_to_fp16:.2f}x smaller than float16",
                "a value": f"{report.bits_per_value:.2f} bits, scales included",
                "compressor": report.compressor,
                **({"compressors tried": tried} if tried else {}),
            }
        ),
    )


def _states(manifest: Manifest) -> Iterator[tuple[str, Sequence[bool]]]:
    for name, split in manifest.splits.items():
        commits = manifest.commits[split.first_task : split.first_task + split.tasks]
        if commits:
            yield name, [commit is not None for commit in commits]


def _split_map(name: str, done: Sequence[bool], each: int) -> Markup:
    cells = []
    for first in range(0, len(done), each):
        some = done[first : first + each]
        cells.append(element("i", class_="done" if all(some) else "part" if any(some) else None))
    return element(
        "div", element("p", f"{name}: {sum(done):,} of {len(done):,}"), element("div", *cells, class_="tasks")
    )


def _key(state: str) -> Markup:
    return joined([element("li", element("i", class_=None if state == "left" else state), _STATES[state])])
