"""What is counted in a store: proteins, or blocks of rows whose proteins are unknown; all of a store, or a part."""

from __future__ import annotations

from actstore.store.read.manifest import Manifest

__all__ = ["counted_rows", "knows_proteins", "lacks_tasks", "part_text", "sequences_title"]


def knows_proteins(manifest: Manifest) -> bool:
    """Return whether sequences are proteins; those of an import without boundaries are blocks of rows."""
    imported = manifest.frozen.imported
    return imported is None or "positions" in imported.known


def lacks_tasks(manifest: Manifest) -> bool:
    """Return whether some tasks of the whole store were left out, so that its proteins may have no rows here."""
    parts = [one.frozen.part for one in manifest.members or (manifest,)]
    return any(part is not None and part.tasks is not None for part in parts)


def part_text(manifest: Manifest) -> str | None:
    """Say what a part has of its store; None of a whole store."""
    frozen = manifest.frozen
    if frozen.part is None:
        return None
    return (
        f"{len(manifest.sites):,} of {len(frozen.sites):,} sites and {len(manifest.tasks):,} of {frozen.tasks:,} tasks "
        "of a store"
    )


def counted_rows(manifest: Manifest) -> str:
    """Say how many rows of which proteins there are."""
    if not knows_proteins(manifest):
        return f"{manifest.rows:,} rows of unknown proteins"
    number = f"{manifest.frozen.corpus.sequences:,} proteins"
    of = f"some of the {number} of the whole store" if lacks_tasks(manifest) else number
    return f"{manifest.rows:,} residues of {of}"


def sequences_title(manifest: Manifest) -> str:
    """Return the title of a column with numbers of sequences."""
    title = "proteins" if knows_proteins(manifest) else "blocks"
    return f"{title} of the whole store" if lacks_tasks(manifest) else title
