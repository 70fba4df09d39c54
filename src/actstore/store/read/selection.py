"""The arrays of a store that hold the rows of some sites, and their order in a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.windows import RowBuffer, RowLayout
from actstore.errors import SiteError
from actstore.store.format.layout import ArraySpec, scales_path, values_path
from actstore.store.read.manifest import Manifest

__all__ = ["StoredColumns"]


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """The arrays behind a `RowBuffer`: sequences, scales if there are any, then the values of each site."""

    arrays: tuple[ArraySpec, ...]
    layout: RowLayout
    site_columns: tuple[int, ...]
    """Index of each site among those whose scales are stored together."""

    @classmethod
    def of(cls, manifest: Manifest, sites: Sequence[str], *, uri: str) -> Self:
        """Select the arrays of some sites, in the order given.

        Raises
        ------
        SiteError
            If the store has no such site, or the sites differ in width.
        """
        names = [site.name for site in manifest.sites]
        missing = [site for site in sites if site not in names]
        if missing:
            raise SiteError(f"{uri}: no site {missing[0]!r}; the store has {', '.join(names)}")
        frozen = manifest.frozen
        quantizer, specs = frozen.quantizer, {spec.path: spec for spec in frozen.row_arrays}
        values = [specs[values_path(site)] for site in sites]
        if len({manifest.sites[names.index(site)].width for site in sites}) != 1:
            listed = ", ".join(f"{site.name} {site.width}" for site in manifest.sites if site.name in sites)
            raise SiteError(f"sites of one stream must have the same number of features, not {listed}")
        scales = [] if quantizer.scales is None else [specs[scales_path(quantizer)]]
        groups = (*scales[0].shape[1:], 1)[:2] if scales else (0, 0)
        return cls(
            (specs["rows/sequence"], *scales, *values),
            RowLayout(len(values), values[0].shape[1], quantizer.stored_dtype, groups[0], groups[1]),
            tuple(names.index(site) for site in sites),
        )

    def buffer(self, columns: Sequence[NDArray[Any]]) -> RowBuffer:
        """Return a buffer over arrays in the order of `arrays`, each [R, ...]."""
        scales = columns[1] if self.layout.scale_sites else None
        values = tuple(columns[2 if self.layout.scale_sites else 1 :])
        if scales is not None:
            scales = scales.reshape(len(scales), self.layout.scale_sites, self.layout.scale_groups)
        return RowBuffer(values, scales, columns[0])

    def columns(self, buffer: RowBuffer) -> list[NDArray[Any]]:
        """Return the arrays of a buffer in the order of `arrays`: views, in their stored shapes."""
        scales: list[NDArray[Any]] = []
        if buffer.scale_RTG is not None:
            scales = [buffer.scale_RTG.reshape(len(buffer), *self.arrays[1].shape[1:])]
        columns = [buffer.sequence_R, *scales, *buffer.values]
        return [np.asarray(column) for column in columns]
