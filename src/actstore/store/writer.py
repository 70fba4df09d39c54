"""One task's rows to objects, then the commit that makes them visible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.models import Site
from actstore.contracts.objects import ObjectStore
from actstore.contracts.planes import Float32s, Planes
from actstore.contracts.tasks import Task, TaskRows
from actstore.errors import CorruptObjectError, MissingObjectError, NumericsError
from actstore.quantize.fidelity import round_trip_noise
from actstore.quantize.moments import Moments
from actstore.quantize.table import QUANTIZERS
from actstore.store.commit import Commit, StoredObject, load_commit, sha256_hex
from actstore.store.frozen import FrozenRecipe
from actstore.store.layout import ArraySpec, commit_path, row_arrays, scales_path, statistics_arrays, values_path
from actstore.store.shard import Shard, encode_shard

__all__ = ["commit_of", "encode_site", "encode_task", "publish_task", "write_task"]

_BLOCK_ROWS: Final = 512  # keeps the temporaries of a block in cache


def write_task(
    objects: ObjectStore, frozen: FrozenRecipe, task: Task, rows: TaskRows, *, name_of: Callable[[int], str] = str
) -> Commit:
    """Write the objects of a task, then its commit; see `publish_task`.

    Parameters
    ----------
    objects, frozen
        The store.
    task, rows
        What to write.
    name_of
        Gives the id of a sequence for messages.

    Returns
    -------
    Commit
        The one in the store, whoever wrote it.

    Raises
    ------
    NumericsError
        If values exceed the encoding's range and the recipe says `on_overflow = "error"`.
    CorruptObjectError
        If a writer with other bytes committed the task while this one wrote, and an object could not be put back.
    """
    shards = encode_task(frozen, task, rows, name_of=name_of)
    return publish_task(objects, commit_of(frozen, task.index, shards), shards)


def commit_of(frozen: FrozenRecipe, task: int, shards: Mapping[str, Shard]) -> Commit:
    """Describe the objects of a task."""
    return Commit(
        task=task,
        split=frozen.split_of(task),
        rows=frozen.rows_of(task),
        recipe_sha256=frozen.digest,
        objects={path: StoredObject.of(shard.data, shard.crc32c) for path, shard in shards.items()},
    )


def publish_task(objects: ObjectStore, commit: Commit, shards: Mapping[str, Shard]) -> Commit:
    """Write the objects of a task, then its commit.

    Any number of writers may do the same task. Objects are created, not replaced; one that exists already with other
    bytes is the leftover of an interrupted writer on other hardware, and is replaced as long as there is no commit.
    The commit is create-only: whoever comes second finds the task done.

    Between the look for a commit and the replacing of a leftover that very writer may turn out alive and commit: plain
    object storage has nothing that would make the two one step. So a writer keeps what it replaces, looks again once
    the task is committed, and puts back whatever the commit names.

    Parameters
    ----------
    objects
        The store.
    commit
        Describes the objects.
    shards
        Path to content of each, in the order in which they are written.

    Returns
    -------
    Commit
        The one in the store, whoever wrote it.

    Raises
    ------
    CorruptObjectError
        If the commit that is there names bytes which this writer has replaced and does not have.
    """
    found: dict[str, bytes] = {}
    for path, shard in shards.items():
        there = _create(objects, path, shard.data)
        if there is None:
            continue
        found[path] = there
        if there == shard.data:
            continue
        with suppress(MissingObjectError):
            return _settle(objects, load_commit(objects, commit.task), commit, shards, found)
        objects.put(path, shard.data)
    if objects.put_new(commit_path(commit.task), commit.to_json()):
        return _settle(objects, commit, commit, shards, found)
    return _settle(objects, load_commit(objects, commit.task), commit, shards, found)


def _create(objects: ObjectStore, path: str, data: bytes) -> bytes | None:
    """Create an object; return what is there if there is one already."""
    while not objects.put_new(path, data):
        with suppress(MissingObjectError):  # removed in between
            return objects.get(path)
    return None


def _settle(
    objects: ObjectStore, valid: Commit, ours: Commit, shards: Mapping[str, Shard], found: Mapping[str, bytes]
) -> Commit:
    """See that objects which were there before we came are those that the valid commit names."""
    for path, before in found.items():
        named = valid.objects[path]
        if named == ours.objects[path]:
            wanted = shards[path].data
        elif before == shards[path].data:
            continue  # we did not replace it
        else:
            wanted = before
        there = b""
        with suppress(MissingObjectError):
            there = objects.get(path)
        if (len(there), sha256_hex(there)) == (named.size, named.sha256):
            continue
        if sha256_hex(wanted) != named.sha256:
            raise CorruptObjectError(
                f"{objects.uri}: {path} (task {valid.task}) was replaced while another writer committed the task with "
                f"other bytes; do it again with 'actstore repair URI --task {valid.task}'"
            )
        objects.put(path, wanted)
    return valid


def encode_task(
    frozen: FrozenRecipe, task: Task, rows: TaskRows, *, name_of: Callable[[int], str] = str
) -> dict[str, Shard]:
    """Encode the rows of a task: object path to content, in the order in which they are written."""
    store, quantizer = frozen.recipe.store, QUANTIZERS[frozen.recipe.store.encoding]
    arrays = {spec.path: spec for spec in row_arrays(frozen.sites, quantizer, store, frozen.array_rows)}
    columns: dict[str, NDArray[Any]] = {
        "rows/sequence": rows.sequence_N,
        "rows/position": rows.position_N,
        "rows/token": rows.token_N,
    }
    planes: dict[str, Planes] = {}
    saturated: dict[str, int] = {}
    for site in frozen.sites:
        values_ND = rows.values[site.name]
        beyond_N = _beyond(values_ND, quantizer.largest)
        saturated[site.name] = int(beyond_N.sum())
        if saturated[site.name] and store.on_overflow == "error":
            raise _overflow(site.name, beyond_N, rows, store.encoding, name_of)
        planes[site.name] = encode_site(frozen, site, values_ND, task=task.index)
        columns[values_path(site.name)] = planes[site.name].values_ND
    if quantizer.scales is not None:
        path = scales_path(quantizer)
        columns[path] = _scales(arrays[path], list(planes.values()), task.rows)
    shards = {spec.object_path(task.index): encode_shard(spec, columns[path]) for path, spec in arrays.items()}
    statistics = _statistics(frozen, rows, planes, saturated)
    for spec in statistics_arrays(frozen.sites, frozen.tasks):
        shards[spec.object_path(task.index)] = Shard(_one_chunk(spec, statistics[spec.path]), ())
    return shards


def encode_site(frozen: FrozenRecipe, site: Site, values_ND: Float32s, *, task: int) -> Planes:
    """Encode the rows of a task at one site.

    Raises
    ------
    NumericsError
        Naming site and task, if the encoding cannot hold a row.
    """
    try:
        return QUANTIZERS[frozen.recipe.store.encoding].encode(values_ND, frozen.site_calibration(site.name))
    except NumericsError as error:
        raise NumericsError(f"site {site.name}, task {task}: {error}") from error


def _scales(spec: ArraySpec, planes: Sequence[Planes], rows: int) -> NDArray[Any]:
    """Lay the scales of all sites side by side; sites with fewer groups than others are padded with zeros."""
    scale_NSG = np.zeros((rows, len(planes), *(spec.shape[2:] or (1,))), dtype=spec.dtype)
    for index, plane in enumerate(planes):
        if plane.scale_NG is not None:
            scale_NSG[:, index, : plane.scale_NG.shape[1]] = plane.scale_NG
    return scale_NSG.reshape(rows, *spec.shape[1:])


def _beyond(values_ND: Float32s, largest: float) -> NDArray[np.int64]:
    """Count the values of each row that the encoding cannot hold."""
    if not np.isfinite(largest):
        return np.zeros(len(values_ND), dtype=np.int64)
    beyond_N: NDArray[np.int64] = (np.abs(values_ND) > largest).sum(axis=1)
    return beyond_N


def _overflow(
    site: str, beyond_N: NDArray[np.int64], rows: TaskRows, encoding: str, name_of: Callable[[int], str]
) -> NumericsError:
    row = int(np.flatnonzero(beyond_N)[0])
    where = f"{name_of(int(rows.sequence_N[row]))}, residue {rows.position_N[row] + 1}, site {site}"
    return NumericsError(
        f"{where}: {beyond_N[row]} values exceed {encoding} (largest {QUANTIZERS[encoding].largest:g}), as do values "
        f"of {np.count_nonzero(beyond_N) - 1} more rows of this task; use encoding = 'bfloat16' or 'int8', or "
        "on_overflow = 'saturate'"
    )


def _statistics(
    frozen: FrozenRecipe, rows: TaskRows, planes: dict[str, Planes], saturated: dict[str, int]
) -> dict[str, NDArray[Any]]:
    quantizer = QUANTIZERS[frozen.recipe.store.encoding]
    columns: dict[str, list[Any]] = {
        name: [] for name in ("count", "norm_sum", "saturated", "mean", "m2", "max_abs", "noise")
    }
    for site in frozen.sites:
        values_ND = rows.values[site.name]
        moments = Moments.of(values_ND)
        columns["count"].append(moments.count)
        columns["norm_sum"].append(_norm_sum(values_ND))
        columns["saturated"].append(saturated[site.name])
        columns["mean"].append(moments.mean_D)
        columns["m2"].append(moments.m2_D)
        columns["max_abs"].append(np.abs(values_ND).max(axis=0))
        calibration = frozen.site_calibration(site.name)
        columns["noise"].append(round_trip_noise(values_ND, planes[site.name], quantizer, calibration))
    width = max(site.width for site in frozen.sites)
    return {f"statistics/{name}": _stack(column, frozen.sites, width) for name, column in columns.items()}


def _norm_sum(values_ND: Float32s) -> float:
    """Add up the L2 norms of rows, in float64."""
    blocks = (values_ND[start : start + _BLOCK_ROWS] for start in range(0, len(values_ND), _BLOCK_ROWS))
    return float(sum(np.sqrt(np.square(block, dtype=np.float64).sum(axis=1)).sum() for block in blocks))


def _stack(column: list[Any], sites: Sequence[Site], width: int) -> NDArray[Any]:
    if np.ndim(column[0]) == 0:
        return np.array(column)
    stacked = np.zeros((len(sites), width))
    for row, vector in zip(stacked, column, strict=True):
        row[: len(vector)] = vector
    return stacked


def _one_chunk(spec: ArraySpec, values: NDArray[Any]) -> bytes:
    return values.astype(spec.dtype).tobytes()
