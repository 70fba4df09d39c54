"""How to open a store: lines to copy, for its own place, sites and encoding."""

from __future__ import annotations

import shlex
from typing import Final

from actstore.access.printable import printable
from actstore.view.counted import knows_proteins
from actstore.view.pages.document import code
from actstore.view.pages.markup import Markup, element
from actstore.view.pages.store_facts import StoreFacts
from actstore.view.reports import splits_to_train

__all__ = ["opening"]

_FEW_ROWS: Final = 1000
_DECODED: Final = {
    "float16": "x = stored.astype('float32')",
    "bfloat16": "x = (stored.astype('uint32') << 16).view('float32')",
    "int8": """center, channel = root[f'sites/{site}/center'][:], root[f'sites/{site}/channel'][:]
scale = root['scales/row'].oindex[rows, COLUMN][filled].astype('float32')
x = center + channel * (scale[:, None] * stored)""",
    "int4": """center, channel = root[f'sites/{site}/center'][:], root[f'sites/{site}/channel'][:]
d = np.arange(len(center))
group = 2 * -(-len(d) // (2 * max(1, len(d) // 128)))
scale = root['scales/group'].oindex[rows, COLUMN][filled].astype('float32')[:, d // group]
levels = (stored[:, d // 2] >> d % 2 * 4) % 16 - 8.0
x = center + channel * (scale * levels.astype('float32'))""",
}


def opening(facts: StoreFacts) -> tuple[Markup, ...]:
    """Return the ways to open a store."""
    one = "protein" if knows_proteins(facts.manifest) else "block"
    uri, site = printable(facts.opened or facts.uri, most=None), facts.manifest.sites[-1]
    example = printable(facts.proteins.example)
    first = next((task for task, commit in enumerate(facts.manifest.commits) if commit is not None), 0)
    begin = first * facts.manifest.frozen.layout.task_rows
    few = f"{begin}-{begin + min(_FEW_ROWS, facts.manifest.frozen.rows_of(first)) - 1}"
    look = f"""import actstore

store = actstore.open_store({uri!r})
{one} = store.rows(sequence={example!r}, sites={site.name!r})
{one}.values_ND  # float32 [kept residues, {site.width}]
{one}.position_N, {one}.residues  # which residues these are"""
    part = "" if facts.report.complete else ", allow_incomplete=True"
    part += "" if "train" in facts.manifest.splits else f", split={next(iter(facts.manifest.splits))!r}"
    stream = f"""import actstore

with actstore.open_stream({uri!r}, sites={site.name!r}{part}) as stream:
    for batch in stream:
        batch.values_BSD  # float32 [rows, 1, {site.width}], shuffled"""
    train = ["trainer", "read-from-store", uri, "--dictionary", "topk-sae", "--site", site.name, "--out", "run"]
    train += [] if facts.report.complete else ["--allow-incomplete"]
    train += shlex.split(splits_to_train(facts.manifest.splits))
    rows = shlex.join(["actstore", "rows", uri, "--rows", few, "--site", site.name, "--out", "rows.csv"])
    return (
        _ways(
            code("open-python", look, name=f"Python: one {one}"),
            code("open-stream", stream, name="Python: shuffled batches"),
            code("open-train", shlex.join(train), name="Shell: train a sparse autoencoder", folded=True),
        ),
        element("h3", "Without actstore"),
        element(
            "p",
            f"The store is plain Zarr, version 3, with sharding; ids and residues of the {one}s are in ",
            element("code", "sequences.parquet"),
            ". The libraries of R and Julia differ in how much of Zarr 3 they read; a table of rows opens everywhere.",
        ),
        code("open-zarr", _zarr(facts, printable(facts.uri, most=None), begin), name="Python: zarr and NumPy alone"),
        code("open-table", rows, name="Shell: rows as a table", folded=True),
        _ways(
            code("open-r", 'rows <- read.csv("rows.csv")', name="R"),
            code(
                "open-julia", 'using CSV, DataFrames; rows = CSV.read("rows.csv", DataFrame)', name="Julia", folded=True
            ),
        ),
    )


def _ways(*blocks: Markup) -> Markup:
    return element("div", *blocks, class_="ways")


def _zarr(facts: StoreFacts, uri: str, begin: int) -> str:
    """Return lines that read and decode rows of the last site with zarr and NumPy."""
    sites, whole = facts.manifest.sites, facts.manifest.frozen.sites
    stop = min(begin + _FEW_ROWS, facts.manifest.frozen.array_rows)
    decoded = _DECODED[facts.manifest.encoding].replace("COLUMN", str(whole.index(sites[-1])))
    numpy = "import numpy as np\n" if "np." in decoded else ""
    return f"""{numpy}import zarr

root = zarr.open_group({uri!r}, mode='r')
site, rows = {sites[-1].name!r}, slice({begin}, {stop})
filled = root['rows/sequence'][rows] >= 0  # the other rows are holes
stored = root[f'sites/{{site}}/values'][rows][filled]
{decoded}  # float32 [rows, {sites[-1].width}]"""
