"""What the page of a store shows, beside its manifest: samples, mixing, licence and citation."""

from __future__ import annotations

from typing import NamedTuple

from actstore.store.browse.protein_sample import ProteinSample
from actstore.store.browse.row_sample import RowSample
from actstore.store.read.manifest import Manifest
from actstore.stream.mixing import MixingReport
from actstore.view.reports import InspectReport

__all__ = ["MeasuredMixing", "Rights", "StoreFacts"]


class Rights(NamedTuple):
    """What the makers of model or corpus state; None where nothing is stated."""

    license: str | None = None
    citation: str | None = None


class MeasuredMixing(NamedTuple):
    """How well batches of the default stream are mixed."""

    split: str
    batch_rows: int
    report: MixingReport


class StoreFacts(NamedTuple):
    """Everything that the page is made of."""

    uri: str
    manifest: Manifest
    report: InspectReport
    rows: RowSample | None
    """None before the first task."""
    proteins: ProteinSample
    mixing: MeasuredMixing | None
    """None if tasks are missing."""
    model: Rights
    corpus: Rights
    opened: str | None = None
    """Manifest file by which the store is opened; None if that is its place."""
