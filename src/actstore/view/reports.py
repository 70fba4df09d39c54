"""Reports of commands as plain named tuples: the same for Python, tables and `--json`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

from actstore.access.printable import printable
from actstore.contracts.unknown import Knowable
from actstore.leaving import StopReason
from actstore.store.read.manifest import Manifest
from actstore.store.write.imported import ImportFacts

__all__ = [
    "ExtractReport",
    "ImportReport",
    "InspectReport",
    "InspectedSite",
    "InspectedSplit",
    "kept_rows",
    "kept_tasks",
    "report_manifest",
    "splits_to_train",
    "told_sources",
]

_FLOAT16_BYTES: Final = 2


class ExtractReport(NamedTuple):
    """Report of a run of `extract`."""

    uri: str
    manifest_sha256: str | None
    """None if the store is not complete."""
    rows: int
    """Rows of the whole store. 0 if the run was stopped before the plan existed; so are the numbers of tasks."""
    tasks_total: int
    tasks_before: int
    """Tasks that earlier runs had committed."""
    tasks_done: int
    """Tasks that have a commit now, from any run."""
    tasks_left: int
    complete: bool
    """Whether all tasks are done, and the manifest is written."""
    stopped: StopReason | None
    """Cause of an early stop of this run: `--stop-after`, SIGINT (Ctrl-C) or SIGTERM."""
    workers: int
    """Most processes that worked for this run at the same time."""
    rows_extracted: int
    """Rows of the tasks that this run committed."""
    seconds: float
    """Time for tasks, without reading the corpus and calibrating."""
    rows_per_s: float


def kept_tasks(uri: str, *, done: int, total: int) -> str:
    """Say what a stopped extraction leaves, and how it continues.

    Examples
    --------
    >>> print(kept_tasks("/store", done=3, total=12))
    /store: 3 of 12 tasks are committed; the same command continues, as does 'actstore extract --store /store'
    """
    uri = printable(uri)
    if not total:
        return f"{uri}: the store was not begun; the same command starts again"
    return (
        f"{uri}: {done:,} of {total:,} tasks are committed; the same command continues, as does "
        f"'actstore extract --store {uri}'"
    )


class ImportReport(NamedTuple):
    """Report of `actstore import`."""

    format: str
    sites: dict[str, int]
    """Features of each site."""
    sequences: int
    known: tuple[Knowable, ...]
    """What the files say of their rows."""
    unknown: tuple[Knowable, ...]
    """What they leave open."""
    said: tuple[str, ...]
    """What was guessed, or left out."""
    store: ExtractReport
    """The store, as after an extraction."""


def kept_rows(uri: str, *, done: int, total: int) -> str:
    """Say what a stopped import leaves, and how it continues.

    Examples
    --------
    >>> print(kept_rows("/store", done=3, total=12))
    /store: 3 of 12 tasks are committed; the same command continues
    """
    if not total:
        return f"{printable(uri)}: the store was not begun; the same command starts again"
    return f"{printable(uri)}: {done:,} of {total:,} tasks are committed; the same command continues"


class InspectedSite(NamedTuple):
    """One site."""

    module: str
    width: int
    mean_norm: float
    """Mean of ||x|| before encoding."""
    max_abs: float
    saturated: int
    """Values clamped to the range of the encoding."""
    outlier_channels: dict[int, float]
    """Channels much larger than the median channel, with the ratio."""
    sqnr_median_db: float | None
    """Signal to quantisation noise of the median channel; None if there is no noise, or if rows of another store were
    copied, which knows it."""
    sqnr_worst_db: float | None


class InspectedSplit(NamedTuple):
    """One split."""

    sequences: int
    rows: int
    tasks_done: int
    tasks_total: int


class InspectReport(NamedTuple):
    """Report of `actstore inspect`."""

    uri: str | None
    manifest_sha256: str
    complete: bool
    tasks_done: int
    tasks_total: int
    rows: int
    """Rows of the finished store."""
    rows_done: int
    sequences: int
    residues: int
    skipped: dict[str, int]
    encoding: str
    compressor: str
    compressor_ratios: dict[str, float]
    """Compression ratio of each compressor on the values of the first task, if the recipe said `auto`."""
    bytes_total: int
    """All objects that commits name."""
    objects: int
    bytes_per_row: float
    """Values and scales of one row as stored; zero before the first commit."""
    bits_per_value: float
    """Bits of stored values and scales, divided by the features of all sites."""
    ratio_to_fp16: float
    """Bytes of the same values in 16 bit, divided by `bytes_per_row`."""
    model: dict[str, str | int | None]
    imported: dict[str, str | list[str]] | None
    """Of the files that rows were imported from: a summary, format, digest, what they say of their rows, and what is
    unknown; None if a model was run."""
    sites: dict[str, InspectedSite]
    splits: dict[str, InspectedSplit]
    whole_sites: int
    """Sites of the whole store; more than in `sites` if this is a part of it."""
    whole_tasks: int
    """Tasks of the whole store."""
    stores: tuple[str, ...]
    """Places of the stores of a merge; empty for a store."""
    licenses: dict[str, str]
    """Licence of `model` and `corpus`, of those that the recipe tells."""
    citations: dict[str, str]
    """How to cite them: BibTeX or text."""


def report_manifest(manifest: Manifest) -> InspectReport:
    """Return the report on a manifest."""
    frozen, stored = manifest.frozen, manifest.stored
    bytes_per_row = stored.payload / stored.payload_rows if stored.payload_rows else 0.0
    features = sum(site.width for site in manifest.sites)
    done = [task for task, commit in enumerate(manifest.commits) if commit is not None]
    return InspectReport(
        uri=manifest.uri,
        manifest_sha256=manifest.digest,
        complete=manifest.complete,
        tasks_done=manifest.tasks_done,
        tasks_total=len(manifest.tasks),
        rows=manifest.rows,
        rows_done=sum(frozen.rows_of(task) for task in done),
        sequences=frozen.corpus.sequences,
        residues=frozen.corpus.residues,
        skipped=frozen.corpus.skipped,
        encoding=manifest.encoding,
        compressor=frozen.layout.compressor,
        compressor_ratios={} if frozen.compression is None else frozen.compression.ratios,
        bytes_total=stored.total,
        objects=stored.objects,
        bytes_per_row=bytes_per_row,
        bits_per_value=8 * bytes_per_row / features,
        ratio_to_fp16=_FLOAT16_BYTES * features / bytes_per_row if bytes_per_row else 0.0,
        model={
            "name": manifest.model.name,
            "revision": manifest.model.revision,
            "architecture": manifest.model.architecture,
            "dtype": manifest.model.dtype,
            "parameters": manifest.model.parameters,
            "weights_sha256": manifest.model.weights_sha256,
        },
        imported=_imported(frozen.imported),
        sites=_sites(manifest),
        splits={
            name: InspectedSplit(
                split.sequences,
                split.rows,
                sum(split.first_task <= task < split.first_task + split.tasks for task in done),
                split.tasks,
            )
            for name, split in manifest.splits.items()
        },
        whole_sites=len(frozen.sites),
        whole_tasks=frozen.tasks,
        stores=tuple(member.uri or "(not said)" for member in manifest.members),
        licenses=told_sources(manifest, "license"),
        citations=told_sources(manifest, "citation"),
    )


def splits_to_train(splits: Collection[str]) -> str:
    """Return the option of the trainer for a store without `train`, the default; nothing otherwise.

    Examples
    --------
    >>> splits_to_train({"train": 1, "valid": 2}), splits_to_train({"valid": 2})
    ('', ' --split valid')
    """
    return "" if "train" in splits or not splits else f" --split {next(iter(splits))}"


def told_sources(manifest: Manifest, field: Literal["license", "citation"]) -> dict[str, str]:
    """Return what the recipe, or those of a merge, tell about the licence or citation of `model` and `corpus`."""
    told: dict[str, list[str]] = {"model": [], "corpus": []}
    for one in manifest.members or (manifest,):
        recipe = one.frozen.recipe
        for name, text in (("model", getattr(recipe.model, field)), ("corpus", getattr(recipe.corpus, field))):
            if text is not None and text not in told[name]:
                told[name].append(text)
    return {name: "; ".join(texts) for name, texts in told.items() if texts}


def _imported(facts: ImportFacts | None) -> dict[str, str | list[str]] | None:
    if facts is None:
        return None
    return {
        "summary": facts.summary,
        "format": facts.format,
        "digest": facts.digest,
        "known": [*facts.known],
        "unknown": [*facts.unknown],
    }


def _sites(manifest: Manifest) -> dict[str, InspectedSite]:
    inspected: dict[str, InspectedSite] = {}
    for site in manifest.sites:
        known = manifest.statistics[site.name]
        inspected[site.name] = InspectedSite(
            module=site.module,
            width=site.width,
            mean_norm=known.mean_norm,
            max_abs=known.max_abs,
            saturated=known.saturated,
            outlier_channels={one.channel: one.ratio for one in known.outlier_channels},
            sqnr_median_db=known.sqnr_median_db,
            sqnr_worst_db=known.sqnr_worst_db,
        )
    return inspected
