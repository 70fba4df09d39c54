"""The arrays of a store that hold the rows of some sites, and their order in a buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import Site
from actstore.contracts.suggest import did_you_mean
from actstore.contracts.windows import RowBuffer, RowLayout, RowOrigin
from actstore.errors import SiteError
from actstore.store.format.layout import ArraySpec, scales_path, values_path
from actstore.store.read.manifest import Manifest

__all__ = ["StoredColumns", "common_width", "match_sites"]

_ORIGIN: Final = ("rows/sequence", "rows/position", "rows/token")
"""Arrays in the order of `RowOrigin`."""


@dataclass(frozen=True, slots=True)
class StoredColumns:
    """The arrays behind a `RowBuffer`: origin, scales if there are any, then the values of each site."""

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
        here = [site.name for site in manifest.sites]
        missing = [site for site in sites if site not in here]
        if missing:
            raise SiteError(f"{uri}: no site {missing[0]!r}; the store has {', '.join(here)}")
        frozen = manifest.frozen
        names = [site.name for site in frozen.sites]
        quantizer, specs = frozen.quantizer, {spec.path: spec for spec in frozen.row_arrays}
        values = [specs[values_path(site)] for site in sites]
        common_width([site for site in manifest.sites if site.name in sites])
        scales = [] if quantizer.scales is None else [specs[scales_path(quantizer)]]
        groups = (*scales[0].shape[1:], 1)[:2] if scales else (0, 0)
        return cls(
            (*(specs[path] for path in _ORIGIN), *scales, *values),
            RowLayout(len(values), values[0].shape[1], quantizer.stored_dtype, groups[0], groups[1]),
            tuple(names.index(site) for site in sites),
        )

    def buffer(self, columns: Sequence[NDArray[Any]]) -> RowBuffer:
        """Return a buffer over arrays in the order of `arrays`, each [R, ...]."""
        *origin, rest = *columns[: len(_ORIGIN)], columns[len(_ORIGIN) :]
        scale_RTG = None
        if self.layout.scale_sites:
            scale_RTG = rest[0].reshape(len(rest[0]), self.layout.scale_sites, self.layout.scale_groups)
            rest = rest[1:]
        return RowBuffer(tuple(rest), scale_RTG, RowOrigin(*origin))

    def columns(self, buffer: RowBuffer) -> list[NDArray[Any]]:
        """Return the arrays of a buffer in the order of `arrays`: views, in their stored shapes."""
        scales: list[NDArray[Any]] = []
        if buffer.scale_RTG is not None:
            scales = [buffer.scale_RTG.reshape(len(buffer), *self.arrays[len(_ORIGIN)].shape[1:])]
        columns = [*buffer.origin, *scales, *buffer.values]
        return [np.asarray(column) for column in columns]


def match_sites(available: Sequence[Site], wanted: Sequence[str] | str | None, *, uri: str) -> list[Site]:
    """Return the sites that match one or several names or globs, in the order given; None for all."""
    if wanted is None:
        return list(available)
    if not wanted:
        raise SiteError(f"{uri}: no sites asked for; give names or globs, or None for all")
    chosen: dict[str, Site] = {}
    for pattern in [wanted] if isinstance(wanted, str) else wanted:
        matches = [site for site in available if fnmatchcase(site.name, pattern)]
        if not matches:
            names = [site.name for site in available]
            raise SiteError(
                f"{uri}: no site {pattern!r}; the store has {', '.join(names)}{did_you_mean(pattern, names)}"
            )
        chosen |= {site.name: site for site in matches}
    return list(chosen.values())


def common_width(sites: Sequence[Site]) -> int:
    """Return the features of every site; raises if they differ."""
    widths = {site.width for site in sites}
    if len(widths) > 1:
        listed = ", ".join(f"{site.name} {site.width}" for site in sites)
        raise SiteError(
            f"sites that are read together must have the same number of features, not {listed}; "
            "choose those of one width, or read each width in a stream of its own"
        )
    return widths.pop()
