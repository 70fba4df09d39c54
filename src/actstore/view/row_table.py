"""Rows to a report and a table for a terminal: which residues they are of, without their values."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Group, RenderableType

from actstore.access.printable import printable
from actstore.store.browse.rows import Rows
from actstore.view.grids import facts, grid

__all__ = ["RowsReport", "describe_rows", "rows_view"]

_MOST_ROWS: Final = 40
_MOST_SITES: Final = 2
"""More norms would not fit into 80 columns."""


class RowsReport(NamedTuple):
    """Rows, without their values."""

    uri: str
    sites: tuple[str, ...]
    width: int
    """Features D of every site."""
    rows: tuple[dict[str, Any], ...]
    """Number, id, position (counted from 0), residue, and the L2 norm at each site."""
    file: str | None
    """Where they were written."""


def describe_rows(found: Rows, *, uri: str, file: str | None) -> RowsReport:
    """Return what rows are, and their norms."""
    norm_NS = np.linalg.norm(found.values_NSD, axis=2)
    places = (found.row_N.tolist(), found.ids, found.position_N.tolist(), found.residues)
    return RowsReport(
        uri=uri,
        sites=found.sites,
        width=found.values_NSD.shape[2],
        rows=tuple(
            {
                "row": row,
                "id": name,
                "position": position,
                "residue": residue,
                "norms": dict(zip(found.sites, norms, strict=True)),
            }
            for row, name, position, residue, norms in zip(*places, norm_NS.tolist(), strict=True)
        ),
        file=file,
    )


def rows_view(report: RowsReport) -> RenderableType:
    """Show which residues rows are of, and their L2 norms if the sites are few; not their values."""
    sites = report.sites if len(report.sites) <= _MOST_SITES else ()
    table = grid("row", "protein", "position", "residue", *(f"norm {site}" for site in sites))
    for row in report.rows[:_MOST_ROWS]:
        # Without commas, which would separate two numbers on the command line.
        norms = (f"{row['norms'][site]:,.2f}" for site in sites)
        table.add_row(str(row["row"]), printable(row["id"]), str(row["position"]), row["residue"], *norms)
    said = {
        "store": report.uri,
        "found": f"{len(report.rows):,} rows of {report.width:,} features at {', '.join(report.sites)}",
    }
    if report.file is not None:
        said["written"] = report.file
    if len(report.rows) > _MOST_ROWS:
        said["shown"] = f"the first {_MOST_ROWS}; all of them: --out FILE.parquet, or --json without values"
    return Group(facts("Rows", said), table)
