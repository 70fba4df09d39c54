"""Rows to measure encodings on: of a real model over natural proteins, and synthetic ones with outlier channels.

Proteins are dealt into three parts before anything is computed: one to learn the calibration of the encodings from,
one to measure on, one to train dictionaries on. No protein is in two of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import ActivationModel
from actstore.contracts.planes import Calibration, Float32s
from actstore.contracts.progress import Progress, Stage
from actstore.contracts.recipe import CorpusRecipe
from actstore.contracts.tasks import Piece, Task
from actstore.corpus.scan import Corpus, scan
from actstore.extract.task import extract_task
from actstore.quantize.int8 import calibrate
from actstore.quantize.moments import Moments
from benchmarks.data.synthetic import SyntheticActivations

__all__ = ["PartSizes", "Parts", "SiteRows", "deal", "natural_rows", "synthetic_rows"]

Int64s = NDArray[np.int64]

_PROTEINS_AT_ONCE: Final = 16
_TOKENS_PER_BATCH: Final = 8192


class PartSizes(NamedTuple):
    """How much each part gets."""

    calibration_proteins: int
    held_out_rows: int
    train_rows: int
    """0 to train nothing."""


class Parts(NamedTuple):
    """Indices of proteins, by what they are for."""

    calibration: Int64s
    held_out: Int64s
    train: Int64s


@dataclass(frozen=True, slots=True, eq=False)
class SiteRows:
    """Rows of one site."""

    data: str
    """Data set."""
    site: str
    calibration: Calibration
    held_out_ND: Float32s
    train_ND: Float32s | None
    """None where no dictionary is trained."""


def deal(rows_P: Int64s, sizes: PartSizes) -> Parts:
    """Deal proteins with so many rows each into parts, by chance.

    The proteins held out are the first that together reach their number of rows; those to train on likewise, or all
    that are left.

    Raises
    ------
    ValueError
        If none is left to train on although rows to train on are asked for.

    Examples
    --------
    >>> parts = deal(np.full(10, 100), PartSizes(calibration_proteins=2, held_out_rows=250, train_rows=1000))
    >>> [len(part) for part in parts], sorted(np.concatenate(parts).tolist()) == list(range(10))
    ([2, 3, 5], True)
    """
    order_P = np.random.default_rng(0).permutation(len(rows_P))
    calibration, rest = np.split(order_P, [sizes.calibration_proteins])
    held_out, rest = _first_that_reach(sizes.held_out_rows, rest, rows_P)
    train, _ = _first_that_reach(sizes.train_rows, rest, rows_P)
    if not len(held_out) or (sizes.train_rows and not len(train)):
        raise ValueError(
            f"{len(rows_P)} proteins with {rows_P.sum():,} residues are too few for {sizes.calibration_proteins} to "
            f"calibrate on, {sizes.held_out_rows:,} residues to hold out and {sizes.train_rows:,} to train on"
        )
    return Parts(calibration, held_out, train)


def natural_rows(
    data: str,
    sequences: str,
    model: ActivationModel,
    sizes: PartSizes,
    *,
    train_sites: Sequence[str],
    progress: Progress,
) -> Iterator[SiteRows]:
    """Run a model over the first window of each protein and yield its sites, some of them with rows to train on."""
    recipe = CorpusRecipe(sequences=(sequences,), long_sequences="truncate")
    names = [site.name for site in model.sites]
    with (
        tempfile.TemporaryDirectory() as spool,
        scan(recipe, alphabet=model.tokenizer.alphabet, spool=Path(spool), progress=progress) as corpus,
    ):
        rows_P = corpus.length_N.astype(np.int64)
        parts = deal(rows_P, sizes)
        total = int(sum(rows_P[part].sum() for part in parts))
        with progress.stage("running the model", total=total, unit="residues") as stage:
            moments: dict[str, list[Moments]] = {name: [] for name in names}
            for rows in _runs(parts.calibration, corpus, model, stage):
                for name, values_ND in rows.items():
                    moments[name].append(Moments.of(values_ND))
            held_out = _collected(_runs(parts.held_out, corpus, model, stage), names)
            train = _collected(_runs(parts.train, corpus, model, stage), train_sites)
    for name in names:
        yield SiteRows(data, name, _calibration(moments[name]), held_out.pop(name), train.get(name))


def synthetic_rows(data: str, activations: SyntheticActivations, sizes: PartSizes, *, progress: Progress) -> SiteRows:
    """Make the rows of one synthetic site, with four channels fifty times larger than the others."""
    rows_P = activations.rows_of_protein
    parts = deal(rows_P, sizes)
    total = int(sum(rows_P[part].sum() for part in parts))
    with progress.stage(f"making {data}", total=total, unit="rows") as stage:

        def made(proteins: Int64s) -> Iterator[Float32s]:
            for protein in proteins.tolist():
                yield activations.protein(0, protein)
                stage.advance(int(rows_P[protein]))

        calibration = _calibration([Moments.of(values_ND) for values_ND in made(parts.calibration)])
        held_out_ND = np.concatenate(list(made(parts.held_out)))
        train_ND = np.concatenate(list(made(parts.train))) if len(parts.train) else None
    return SiteRows(data, "synthetic", calibration, held_out_ND, train_ND)


def _first_that_reach(wanted: int, proteins: Int64s, rows_P: Int64s) -> tuple[Int64s, Int64s]:
    """Cut proteins after the first that together have so many rows."""
    before_P = np.cumsum(rows_P[proteins]) - rows_P[proteins]
    cut = int(np.count_nonzero(before_P < wanted))
    return proteins[:cut], proteins[cut:]


def _calibration(parts: Sequence[Moments]) -> Calibration:
    moments = Moments.merged(parts)
    if moments is None:
        raise ValueError("no protein to calibrate on")
    return calibrate(moments.mean_D, moments.variance_D)


def _runs(proteins: Int64s, corpus: Corpus, model: ActivationModel, stage: Stage) -> Iterator[dict[str, Float32s]]:
    """Yield the rows of all sites, a few proteins at a time, in their order."""
    for start in range(0, len(proteins), _PROTEINS_AT_ONCE):
        here = proteins[start : start + _PROTEINS_AT_ONCE]
        pieces = tuple(
            Piece(int(protein), 0, int(length), np.arange(length, dtype=np.int32))
            for protein, length in zip(here, corpus.length_N[here], strict=True)
        )
        rows = int(corpus.length_N[here].sum())
        task = Task(0, "benchmark", rows, pieces, np.arange(rows))
        yield extract_task(
            task, corpus, model, tokens_per_batch=_TOKENS_PER_BATCH, parallel=map, on_rows=stage.advance
        ).values


def _collected(runs: Iterator[dict[str, Float32s]], sites: Sequence[str]) -> dict[str, Float32s]:
    """Return all rows of some sites; nothing where there are no runs."""
    parts: dict[str, list[Float32s]] = {site: [] for site in sites}
    for rows in runs:
        for site, blocks in parts.items():
            blocks.append(rows[site])
    return {site: np.concatenate(blocks) for site, blocks in parts.items() if blocks}
