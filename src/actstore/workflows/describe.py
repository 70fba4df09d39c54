"""A page on a store: its manifest, and bounded samples of its rows and proteins."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from actstore.access.objects import ObjectStore
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import CorruptObjectError
from actstore.store.browse.protein_sample import read_proteins
from actstore.store.browse.row_sample import read_sample
from actstore.store.format.layout import SEQUENCES
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import locate_store
from actstore.store.write.sequences import StoredSequences
from actstore.stream.mixing import Mixing
from actstore.stream.open import stream_over
from actstore.stream.request import StreamRequest
from actstore.stream.seats import Seat
from actstore.view.pages.store_facts import MeasuredMixing, Rights, StoreFacts
from actstore.view.pages.store_page import store_page
from actstore.view.reports import InspectReport, report_manifest
from actstore.workflows.page_files import check_page_file, write_page_file

__all__ = ["describe_store", "write_store_page"]

_BATCHES: Final = 8
_BATCH_ROWS: Final = 4096


@with_keyword_hints
def write_store_page(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> InspectReport:
    """Write one self-contained HTML file on a store, finished or not; return what `inspect_store` returns.

    It reads the manifest, at most 4,096 rows of each site (of 64 sites at most), 262,144 proteins, and a fill of the
    default stream.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file.
    path
        The file, which is replaced if it exists; not in a store.
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options
        Passed to fsspec.
    progress
        Where to report.

    Raises
    ------
    StoreNotFoundError
        If there is no store.
    UsageError
        If the file cannot be written.
    MissingObjectError, CorruptObjectError
        If something of what is read is lost or damaged.
    """
    check_page_file(Path(path))
    manifest, objects = locate_store(source, uri=uri, storage_options=storage_options)
    facts = describe_store(manifest, objects, progress=progress or Silent())
    if manifest.frozen.part is not None and Path(source).is_file():  # the store there has more than this part
        facts = facts._replace(opened=os.fspath(source))
    write_page_file(Path(path), store_page(facts))
    return facts.report


def describe_store(manifest: Manifest, objects: ObjectStore, *, progress: Progress) -> StoreFacts:
    """Collect what the page of a store shows; raises as `write_store_page`."""
    report = report_manifest(manifest.model_copy(update={"uri": objects.uri}))
    return StoreFacts(
        uri=objects.uri,
        manifest=manifest,
        report=report,
        rows=read_sample(objects, manifest, progress=progress),
        proteins=read_proteins(objects, progress=progress),
        mixing=_mixing(manifest, objects),
        model=Rights(report.licenses.get("model"), report.citations.get("model")),
        corpus=Rights(report.licenses.get("corpus"), report.citations.get("corpus")),
    )


def _mixing(manifest: Manifest, objects: ObjectStore) -> MeasuredMixing | None:
    """Measure the first batches of the default stream over the largest split, at the narrowest site."""
    name, split = max(manifest.splits.items(), key=lambda item: item[1].rows)
    batch_rows = min(_BATCH_ROWS, split.rows // 2)
    if split.rows != manifest.frozen.splits[name].rows:  # of a part, nobody has counted the sequences
        return None
    if batch_rows < 2 or None in manifest.commits[split.first_task : split.first_task + split.tasks]:
        return None
    site = min(manifest.sites, key=lambda site: site.width)
    request = StreamRequest(sites=site.name, batch_rows=batch_rows, split=name, seat=Seat(0, 1), kernels="numpy")
    with StoredSequences(objects) as sequences:
        by_rows = sequences.sequences_by_rows(name)
    if (rows := int(by_rows @ np.arange(len(by_rows)))) != split.rows:
        raise CorruptObjectError(
            f"{objects.uri}: {SEQUENCES} has {rows:,} rows in the split {name}, the recipe {split.rows:,}; find the "
            "damage with 'actstore verify'"
        )
    found = Mixing(lambda: by_rows, batch_rows)
    with stream_over(manifest, objects, request) as stream:
        for batch in islice(stream, _BATCHES):
            found.add(batch.row_B, batch.sequence_B)
    report = found.report()
    return None if report is None else MeasuredMixing(name, batch_rows, report)
