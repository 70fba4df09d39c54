"""The report of `actstore publish`, for Python, `--json` and a terminal."""

from __future__ import annotations

from typing import Final, NamedTuple

from rich.console import Group, RenderableType

from actstore.view.grids import facts, grid, human_bytes

__all__ = ["PublishReport", "published_view"]

_MOST_FILES: Final = 20
_MANY_FILES: Final = 100_000


class PublishReport(NamedTuple):
    """Report of `actstore publish`."""

    repository: str
    """`user/name` of the data set."""
    revision: str
    """Branch."""
    url: str
    """Its page."""
    uri: str
    """Where readers find the store."""
    commit: str | None
    """Commit that has the whole store; None in a dry run."""
    manifest_sha256: str
    site: str
    """A site of the store, for the example."""
    dry_run: bool
    files: int
    """Files of the published store."""
    bytes: int
    files_sent: int
    """Files that were missing there, or, in a dry run, would be sent."""
    bytes_sent: int
    card_kept: bool
    """Whether the repository has a README.md that somebody wrote, which was left as it is."""
    to_send: tuple[tuple[str, int], ...]
    """Path and size of what a dry run would send."""


def published_view(report: PublishReport) -> RenderableType:
    """Show what was published, and how somebody else opens it."""
    there = report.files - report.files_sent
    sent = f"{report.files_sent:,} files, {human_bytes(report.bytes_sent)}"
    told = {
        "data set": report.url,
        "branch": report.revision,
        "size": f"{report.files:,} files, {human_bytes(report.bytes)}",
        "would send" if report.dry_run else "sent": sent + (f"; {there:,} files are there already" if there else ""),
    }
    if report.card_kept:
        told["card"] = "somebody wrote README.md, and it stays as it is; --new-card replaces it"
    if report.files > _MANY_FILES:
        told["many files"] = f"the Hub recommends at most {_MANY_FILES:,}; larger tasks (store.task_rows) make fewer"
    if report.dry_run:
        table = grid("file", "size")
        for path, size in report.to_send[:_MOST_FILES]:
            table.add_row(path, human_bytes(size))
        if (more := len(report.to_send) - _MOST_FILES) > 0:
            table.add_row(f"and {more:,} more: --json", "")
        return Group(facts("To publish", told), *([table] if report.to_send else []))
    told |= {"commit": report.commit or "", "manifest": report.manifest_sha256}
    use = {
        "look": f"actstore inspect {report.uri}",
        "train": f"trainer read-from-store {report.uri} --dictionary topk-sae --site {report.site}",
        "Python": f'actstore.open_store("{report.uri}")',
    }
    return Group(facts("Published", told), facts("Use it", use))
