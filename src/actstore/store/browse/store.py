"""A store as a data set: look at it, read a protein, any rows, or one site as an array."""

from __future__ import annotations

import html
import os
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actstore.access.printable import printable
from actstore.contracts.progress import Progress, Silent
from actstore.contracts.suggest import with_keyword_hints
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.browse.all_proteins import proteins_of, sequence_table
from actstore.store.browse.labelled import labelled_rows
from actstore.store.browse.means import SequenceMeans, sequence_means
from actstore.store.browse.random_rows import RandomRows
from actstore.store.browse.row_numbers import RowNumbers
from actstore.store.browse.rows import Choice, ProteinRows, Rows, chosen_positions
from actstore.store.browse.sequence_index import SequenceRows
from actstore.store.browse.site_array import SiteArray
from actstore.store.read.manifest import Manifest
from actstore.store.read.merged import Source
from actstore.store.read.open import locate_rows
from actstore.store.read.selection import match_sites

if TYPE_CHECKING:
    import xarray

__all__ = ["Store", "open_store"]


@with_keyword_hints
def open_store(
    source: str | os.PathLike[str],
    *,
    uri: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Store:
    """Open a store to look into it. To train, use `open_stream`: it reads much faster, in random order.

    Only the manifest is read. Every other byte is compared with its checksum when it is read.

    Parameters
    ----------
    source
        Path or URL of a store, or a manifest file that was exported from one.
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options
        Passed to fsspec.
    progress
        Where to report long reads, such as the first question for a protein of a large store.

    Raises
    ------
    StoreNotFoundError, ManifestError, UsageError
        As `actstore.open_manifest`.

    Examples
    --------
    ::

        with actstore.open_store("store") as store:
            protein = store.rows(sequence="P62258", sites="resid_post.7")
            protein.values_ND, protein.position_N, protein.residues
            store[17, 99].ids
            store.site("resid_post.7")[:1000].mean(axis=0)
    """
    manifest, objects = locate_rows(source, uri=uri, storage_options=storage_options)
    return Store(manifest, objects, progress=progress or Silent())


class Store:
    """A store that was opened with `open_store`; threads may share it.

    Rows have numbers, which batches and messages use, too; `row_numbers` lists those that are in use.

    Parameters
    ----------
    manifest, objects, progress
        What the store has, where it is, and where to report long reads.
    """

    def __init__(self, manifest: Manifest, objects: Source, *, progress: Progress) -> None:
        self.manifest = manifest
        """Commits, digests, recipe, model, sites, splits and statistics."""
        self.objects = objects
        self._progress = progress
        self._numbers = RowNumbers(manifest)
        self._rows: dict[tuple[str, ...], RandomRows] = {}
        self._proteins = proteins_of(objects, manifest, progress=progress)
        self._lock = threading.RLock()

    @property
    def uri(self) -> str:
        """Where the store is."""
        return self.objects.uri

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites."""
        return tuple(site.name for site in self.manifest.sites)

    @cached_property
    def sequences(self) -> pa.Table:
        """The proteins: `id`, `residues`, `length`, `split`, `rows` and, with clusters, `cluster`; read into memory.

        Raises
        ------
        MissingObjectError, CorruptObjectError
            If it is lost or damaged.
        """
        return sequence_table(self.objects)

    def __len__(self) -> int:
        """Return the number of rows that are there."""
        return len(self._numbers)

    def __repr__(self) -> str:
        return f"<Store {self.uri}: {', '.join(f'{value}' for value in self._facts().values())}>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        lines = (
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in {"store": printable(self.uri), **self._facts()}.items()
        )
        return f"<table>{''.join(lines)}</table>"

    def row_numbers(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the numbers of all rows that are there, or of those of a split: int64, ascending.

        Raises
        ------
        UsageError
            If there is no such split.
        """
        places = self._numbers.places(split)
        return self._numbers.at(np.arange(places.start, places.stop))

    def __getitem__(self, rows: Choice) -> Rows:
        """Return rows by their numbers, at all sites: in the order given; of a slice, those that are there.

        Raises
        ------
        UsageError
            If a number is not that of a row, or the sites have different numbers of features.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        return self.read(rows)

    def read(self, rows: Choice, sites: str | Sequence[str] | None = None) -> Rows:
        """Return rows by their numbers at some sites, names or globs; raises as indexing."""
        names = self._names(sites)
        row_N = self._row_numbers(rows)
        found = self._random(names).read(row_N)
        return Rows(
            found.values_NSD, names, row_N, found.origin.sequence_R, found.origin.position_R, self._proteins.letters
        )

    @with_keyword_hints
    def rows(
        self,
        sequence: str | int,
        *,
        sites: str | Sequence[str] | None = None,
        positions: Choice | None = None,
    ) -> ProteinRows:
        """Return the rows of one protein, in the order of its residues.

        Parameters
        ----------
        sequence
            Its id as in the FASTA or Parquet file, or its row in `sequences`.
        sites
            Names or globs; None for all.
        positions
            Residues, counted from 0; None for all. Residues that were not kept have no rows.

        Raises
        ------
        UsageError
            If there is no such protein, a position is outside of it, or the sites have different numbers of features.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        names = self._names(sites)
        number, name, protein = self._proteins.find(sequence)
        row_N, position_N = self._rows_of(number, name, protein, positions)
        found = self._random(names).read(row_N)
        if (found.origin.sequence_R != number).any() or (found.origin.position_R != position_N).any():
            raise CorruptObjectError(
                f"{self.uri}: rows of {printable(name)} are not where the plan says; find the damage with "
                "'actstore verify'"
            )
        return ProteinRows(
            found.values_NSD,
            names,
            row_N,
            found.origin.sequence_R,
            position_N,
            self._proteins.letters,
            id=name,
            protein=protein,
        )

    def row_numbers_of(self, sequence: str | int, *, positions: Choice | None = None) -> NDArray[np.int64]:
        """Return the numbers of the rows of one protein, in the order of its residues; arguments as `rows`."""
        number, name, protein = self._proteins.find(sequence)
        return self._rows_of(number, name, protein, positions)[0]

    def site(self, name: str) -> SiteArray:
        """Return one site as an array, float32 [rows, D], that is read where it is indexed.

        Raises
        ------
        SiteError
            If the store has no such site.
        """
        [chosen] = match_sites(self.manifest.sites, name, uri=self.uri)[:1]
        return SiteArray(
            chosen.name, chosen.width, self._random((chosen.name,)), self._numbers, token=self.manifest.digest
        )

    def xarray(self, sites: str | Sequence[str] | None = None) -> xarray.Dataset:
        """Return the rows as an `xarray.Dataset`, read where it is computed.

        It has `activations` with dimensions row, site and feature, and for each row the coordinates sequence (id),
        position, residue and split.

        Parameters
        ----------
        sites
            Names or globs of sites of one width; None for all.

        Raises
        ------
        UsageError
            If xarray is not installed (extra `xarray`), or the sites have different numbers of features.
        """
        names = self._names(sites)
        arrays = [self.site(name) for name in names]
        return labelled_rows(arrays, self._random(names[:1]), self._numbers, self._proteins, self.manifest)

    def mean_per_sequence(self, site: str, *, split: str | None = None) -> SequenceMeans:
        """Return the mean of the rows of each protein at one site, reading every row once.

        Parameters
        ----------
        site
            Name of the site.
        split
            Only rows of this split; None for all.

        Raises
        ------
        SiteError, UsageError
            If there is no such site or split.
        MissingObjectError, CorruptObjectError
            Naming object and task.
        """
        [chosen] = match_sites(self.manifest.sites, site, uri=self.uri)[:1]
        return sequence_means(
            self._random((chosen.name,)),
            self._numbers,
            split=split,
            shape=(self.manifest.frozen.corpus.sequences, chosen.width),
            progress=self._progress,
        )

    def close(self) -> None:
        """Close files and release memory; arrays of `site` cannot be read any more."""
        with self._lock:
            for rows in self._rows.values():
                rows.close()
            self._rows.clear()
            self._proteins.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rows_of(self, number: int, name: str, protein: str, positions: Choice | None) -> SequenceRows:
        """Return the rows of a protein that are there, and are of some positions."""
        row_N, position_N = self._proteins.rows(number)
        here = np.isin(row_N // self.manifest.frozen.layout.task_rows, self._numbers.task_T)
        if positions is not None:
            here &= np.isin(position_N, chosen_positions(positions, name, len(protein)))
        return SequenceRows(row_N[here], position_N[here])

    def _names(self, sites: str | Sequence[str] | None) -> tuple[str, ...]:
        return tuple(site.name for site in match_sites(self.manifest.sites, sites, uri=self.uri))

    def _random(self, names: tuple[str, ...]) -> RandomRows:
        with self._lock:
            if names not in self._rows:
                self._rows[names] = RandomRows(self.objects, self.manifest, names)
            return self._rows[names]

    def _row_numbers(self, rows: Choice) -> NDArray[np.int64]:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self.manifest.frozen.array_rows)
            if step != 1:
                raise UsageError("rows are sliced in steps of 1; give a list of numbers otherwise")
            return self._numbers.between(start, stop)
        row_N = np.atleast_1d(np.asarray(rows))
        if row_N.size and row_N.dtype.kind not in "iu":
            raise UsageError(f"rows are given by their numbers, not by {row_N.dtype}")
        return row_N.astype(np.int64).reshape(-1)

    def _facts(self) -> dict[str, str]:
        """Return what matters most, by its name."""
        manifest = self.manifest
        widths = sorted({site.width for site in manifest.sites})
        rows = f"{len(self):,} rows" if manifest.complete else f"{len(self):,} of {manifest.rows:,} rows"
        splits = ", ".join(f"{name} {split.rows:,}" for name, split in manifest.splits.items())
        tasks = "complete" if manifest.complete else f"{manifest.tasks_done:,} of {len(manifest.tasks):,} tasks"
        return {
            "model": f"{printable(manifest.model.name)} ({printable(manifest.model.architecture)})",
            **({"imported": facts.summary} if (facts := manifest.frozen.imported) else {}),
            "sites": f"{len(self.sites)} sites x {' or '.join(map(str, widths))} features",
            "rows": f"{rows} of {manifest.frozen.corpus.sequences:,} proteins ({splits})",
            "encoding": manifest.encoding,
            "size": f"{manifest.stored.total / 1e6:,.1f} MB",
            "state": tasks,
        }
