"""Reports on copies to tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from actstore.access.printable import printable
from actstore.view.grids import facts, human_bytes

__all__ = ["copy_view"]


def copy_view(found: Mapping[str, Any]) -> RenderableType:
    """Show what was copied, and how it is used."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in found["splits"].items())
    shown = {
        "from": printable(found["source"]),
        "store": printable(found["uri"]),
        "sites": ", ".join(map(printable, found["sites"])),
        "rows": f"{found['rows']:,} ({splits}) in {found['tasks_total']:,} tasks",
        "this run": f"{human_bytes(found['bytes'])} in {found['objects']:,} objects, {found['seconds']:,.1f} s",
    }
    if found["sequences"] is not None:
        shown["sequences"] = f"{found['sequences']:,}, with a plan of their own; rows keep their values"
    if found["tasks_before"]:
        shown["found done"] = f"{found['tasks_before']:,} tasks"
    if not found["complete"]:
        shown["left"] = "tasks that the source does not have yet; the same command copies them when it has"
        return facts("Not complete", shown)
    shown["manifest"] = found["manifest_sha256"]
    return facts("Copied", shown)
