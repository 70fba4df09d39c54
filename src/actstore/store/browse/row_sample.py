"""A bounded sample of the rows of a store: how large they are at each site, and how many directions they fill."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.planes import Float32s
from actstore.contracts.progress import Progress
from actstore.store.browse.random_rows import RandomRows
from actstore.store.read.manifest import Manifest

__all__ = ["RowSample", "SampledSite", "read_sample", "sampled_rows", "spectrum"]

MOST_ROWS: Final = 4096
MOST_SITES: Final = 64
"""With more sites, as many at even distances are looked at."""
_MOST_VALUES: Final = 1 << 24
"""Rows times features of a site: 64 MiB of float32."""
_RUN_ROWS: Final = 128
"""Rows that are taken from one chunk: a task holds its rows in random order, so neighbours are a fair sample."""
_NORM_BINS: Final = 80


class SampledSite(NamedTuple):
    """One site, over the sampled rows."""

    norm_counts: tuple[int, ...]
    """Rows by their L2 norm, in the bins of the sample."""
    norm_quantiles: tuple[float, float, float]
    """5 %, 50 % and 95 % of the norms."""
    variance_K: NDArray[np.float64]
    """Variance along each principal component, largest first."""


class RowSample(NamedTuple):
    """Rows that were drawn with equal probability from those that are there."""

    rows: int
    norm_edges: tuple[float, ...]
    """Edges of the bins, with equal ratios; all sites share them."""
    sites: dict[str, SampledSite]


def sampled_rows(manifest: Manifest, *, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most about `most` rows: runs of neighbours, from chunks drawn at random.

    Parameters
    ----------
    manifest
        Of the store.
    most
        Number of rows; at least one run is drawn.
    """
    layout, frozen = manifest.frozen.layout, manifest.frozen
    task_T = np.array([task for task, commit in enumerate(manifest.commits) if commit is not None], dtype=np.int64)
    rows_T = np.array([frozen.rows_of(task) for task in task_T.tolist()], dtype=np.int64)
    end_T = (-(-rows_T // layout.chunk_rows)).cumsum()
    if not len(end_T):
        return np.empty(0, dtype=np.int64)
    run_rows = min(layout.chunk_rows, _RUN_ROWS, most)
    drawn = np.random.default_rng([frozen.recipe.seed, int(end_T[-1])]).choice(
        int(end_T[-1]), size=min(most // run_rows, int(end_T[-1])), replace=False
    )
    parts = []
    for chunk in np.sort(drawn).tolist():
        index = int(np.searchsorted(end_T, chunk, side="right"))
        place = (chunk - (int(end_T[index - 1]) if index else 0)) * layout.chunk_rows
        first = int(task_T[index]) * layout.task_rows
        parts.append(np.arange(first + place, first + min(place + run_rows, int(rows_T[index]))))
    return np.concatenate(parts)


def read_sample(objects: ObjectStore, manifest: Manifest, *, progress: Progress) -> RowSample | None:
    """Read the sample of a store, a site at a time; None if no row is there yet.

    Raises
    ------
    MissingObjectError, CorruptObjectError
        Naming object and task.
    """
    chosen = np.unique(np.linspace(0, len(manifest.sites) - 1, min(len(manifest.sites), MOST_SITES)).round())
    sites = [manifest.sites[int(index)] for index in chosen]
    row_N = sampled_rows(manifest, most=min(MOST_ROWS, max(_MOST_VALUES // max(site.width for site in sites), 1)))
    if not len(row_N):
        return None
    norms: dict[str, NDArray[np.float64]] = {}
    variances: dict[str, NDArray[np.float64]] = {}
    few = _only_tasks(manifest, row_N // manifest.frozen.layout.task_rows)
    with progress.stage("sample", total=len(sites), unit="sites") as stage:
        for site in sites:
            rows = RandomRows(objects, few, (site.name,))
            try:
                values_ND = rows.read(row_N).values_NSD[:, 0]
            finally:
                rows.close()
            norms[site.name] = np.sqrt(np.einsum("nd,nd->n", values_ND, values_ND, dtype=np.float64))
            variances[site.name] = spectrum(values_ND)
            stage.advance(1, note=site.name)
    edges = _edges(np.concatenate(list(norms.values())))
    return RowSample(
        len(row_N), tuple(edges.tolist()), {name: _site(norms[name], edges, variances[name]) for name in norms}
    )


def spectrum(values_ND: Float32s) -> NDArray[np.float64]:
    """Return the variance of rows along each of their principal components, largest first: float64 [min(N, D)].

    It is computed from the smaller one of the two Gram matrices, in float64.

    Examples
    --------
    >>> spectrum(np.array([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=np.float32)).tolist()
    [4.5, 0.5, 0.0]
    """
    centred_ND = values_ND.astype(np.float64)
    centred_ND -= centred_ND.mean(axis=0)
    gram = centred_ND.T @ centred_ND if len(values_ND) >= values_ND.shape[1] else centred_ND @ centred_ND.T
    variance_K: NDArray[np.float64] = np.maximum(np.linalg.eigvalsh(gram)[::-1], 0.0) / len(values_ND)
    return variance_K


def _only_tasks(manifest: Manifest, task_N: NDArray[np.int64]) -> Manifest:
    """Return a manifest that has these tasks only, so that no object of any other is opened."""
    chosen = set(task_N.tolist())
    commits = tuple(commit if task in chosen else None for task, commit in enumerate(manifest.commits))
    return manifest.model_copy(update={"commits": commits})


def _edges(norm_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return edges with equal ratios around all norms that are not 0."""
    positive_N = norm_N[norm_N > 0]
    low, high = (positive_N.min(), positive_N.max()) if len(positive_N) else (1.0, 1.0)
    return np.geomspace(low / 1.02, high * 1.02, _NORM_BINS + 1)


def _site(norm_N: NDArray[np.float64], edges: NDArray[np.float64], variance_K: NDArray[np.float64]) -> SampledSite:
    counts, _ = np.histogram(norm_N, bins=edges)
    low, median, high = np.quantile(norm_N, [0.05, 0.5, 0.95]).tolist()
    return SampledSite(tuple(counts.tolist()), (low, median, high), variance_K)
