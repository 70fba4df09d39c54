"""Croissant metadata of a published store (MLCommons Croissant 1.0): what other tools find, load and cite it by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from actstore.access.printable import printable
from actstore.contracts.unknown import UNKNOWN_MODEL, UNKNOWN_RESIDUE
from actstore.store.format.layout import MANIFEST, SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.view.counted import counted_rows, knows_proteins, part_text
from actstore.view.reports import told_sources

__all__ = ["croissant_metadata", "describe_store", "model_name"]

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context of the specification; `@vocab` is schema.org."""
_FIELDS: Final = {
    "id": ("sc:Text", "Identifier of the protein, as in the FASTA or Parquet file."),
    "residues": ("sc:Text", "Its residues, one letter each."),
    "length": ("sc:Integer", "Number of residues."),
    "split": ("sc:Text", "Split to which all its rows belong."),
    "rows": ("sc:Integer", "Number of its residues that have rows."),
}
_BLOCK_FIELDS: Final = {
    "id": ("sc:Text", "Name of the block of rows: its file, and its place there."),
    "residues": ("sc:Text", f"{UNKNOWN_RESIDUE} for each row: the residues are unknown."),
    "length": ("sc:Integer", "Number of rows in the file."),
    "split": ("sc:Text", "Split to which all its rows belong."),
    "rows": ("sc:Integer", "Number of its rows that are stored."),
}
"""Of rows whose proteins are unknown."""


def describe_store(manifest: Manifest) -> str:
    """Say in one sentence what a store is, and in another of what it is a part."""
    known = manifest.model.name != UNKNOWN_MODEL
    model = f"the protein language model {model_name(manifest)}" if known else "an unknown protein language model"
    part = part_text(manifest)
    return (
        f"Activations of {model} at {len(manifest.sites)} site{'s' if len(manifest.sites) != 1 else ''} for "
        f"{counted_rows(manifest)}, kept as a Zarr store of actstore "
        f"({manifest.encoding}).{f' It is a part: {part}.' if part else ''}"
    )


def model_name(manifest: Manifest) -> str:
    """Return the name of the model; of a local folder only its own name, since nobody else has its path."""
    name = manifest.model.name
    return printable(Path(name).name if Path(name).is_absolute() else name, most=120)


def croissant_metadata(manifest: Manifest, *, name: str, url: str, files: str, sizes: dict[str, int]) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    manifest
        Of the store.
    name, url
        Of the data set, and of its page.
    files
        URL below which its files are downloaded.
    sizes
        Bytes of `sequences.parquet` and `manifest.json`.
    """
    digests = {SEQUENCES: manifest.frozen.sequences_sha256, MANIFEST: manifest.digest}
    kinds = {SEQUENCES: "application/x-parquet", MANIFEST: "application/json"}
    licenses, citations = told_sources(manifest, "license"), told_sources(manifest, "citation")
    known = knows_proteins(manifest)
    what, fields = ("proteins", _FIELDS) if known else ("blocks of rows of unknown proteins", _BLOCK_FIELDS)
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": name,
        "description": f"{describe_store(manifest)} The SHA-256 of its manifest is {manifest.digest}. Values are read "
        f"with actstore or any Zarr v3 reader; the {what} are the record set below.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "url": url,
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": path,
                "name": path,
                "contentUrl": f"{files}/{path}",
                "contentSize": f"{sizes[path]} B",
                "encodingFormat": kinds[path],
                "sha256": digest,
            }
            for path, digest in digests.items()
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "sequences",
                "name": "sequences",
                "description": f"The {what}, in the order of their numbers in `rows/sequence`.",
                "field": [_field(column, kind, meaning) for column, (kind, meaning) in fields.items()],
            }
        ],
    }
    if licenses:
        document["license"] = sorted(set(licenses.values()))
    if citations:
        document["citeAs"] = "\n\n".join(dict.fromkeys(citations.values()))
    return document


def _field(column: str, kind: str, meaning: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"sequences/{column}",
        "name": column,
        "description": meaning,
        "dataType": kind,
        "source": {"fileObject": {"@id": SEQUENCES}, "extract": {"column": column}},
    }
