"""One task's rows to objects, then the commit that makes them visible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actstore.access.objects import ObjectStore
from actstore.contracts.models import Site
from actstore.contracts.parallel import ParallelMap
from actstore.contracts.planes import Float32s, Planes
from actstore.contracts.tasks import Task, TaskRows
from actstore.errors import CorruptObjectError, MissingObjectError, NumericsError
from actstore.extract.task import not_finite
from actstore.quantize.encode import encode_rows
from actstore.quantize.encoded_rows import EncodedRows, count_beyond
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.layout import LAST_ARRAY, ArraySpec, commit_path, scales_path, statistics_arrays, values_path
from actstore.store.format.shard import Shard, encode_shard
from actstore.store.write.commit import Commit, StoredObject, load_commit
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["check_overflow", "commit_of", "encode_site", "encode_task", "publish_task", "write_task"]


def write_task(
    objects: ObjectStore,
    frozen: FrozenRecipe,
    task: Task,
    rows: TaskRows,
    *,
    name_of: Callable[[int], str] = str,
    parallel: ParallelMap = map,
) -> Commit:
    """Write the objects of a task, then its commit; see `publish_task`.

    Parameters
    ----------
    objects, frozen
        The store.
    task, rows
        What to write.
    name_of
        Returns the id of a sequence, for messages.
    parallel
        Encodes sites, possibly several at a time.

    Returns
    -------
    Commit
        The commit in the store, from any writer.

    Raises
    ------
    NumericsError
        If values exceed the encoding's range and the recipe says `on_overflow = "error"`.
    CorruptObjectError
        If a writer with other bytes committed the task while this one wrote, and an object could not be put back.
    """
    shards = encode_task(frozen, task, rows, name_of=name_of, parallel=parallel)
    return publish_task(objects, commit_of(frozen, task.index, shards), shards)


def commit_of(frozen: FrozenRecipe, task: int, shards: Mapping[str, Shard], *, parallel: ParallelMap = map) -> Commit:
    """Return the commit for the objects of a task; `parallel` may hash several at a time."""
    stored = parallel(lambda shard: StoredObject.of(shard.data, shard.crc32c), shards.values())
    return Commit(
        task=task,
        split=frozen.split_of(task),
        rows=frozen.rows_of(task),
        recipe_sha256=frozen.digest,
        objects=dict(zip(shards, stored, strict=True)),
    )


def publish_task(objects: ObjectStore, commit: Commit, shards: Mapping[str, Shard]) -> Commit:
    """Write the objects of a task, then its commit.

    Any number of writers may do the same task. Objects are created, not replaced. An existing object with other bytes
    is treated as the leftover of an interrupted writer on other hardware, and is replaced if there is no commit. The
    commit is create-only: a second writer finds the task done.

    Between the check for a commit and the replacement of a leftover, its writer may still be alive and commit: object
    storage has no operation that does both in one step. So a writer keeps the bytes that it replaces, checks again when
    the task is committed, and restores the objects that the commit names.

    Parameters
    ----------
    objects
        The store.
    commit
        Describes the objects.
    shards
        Path to content of each object, in the order in which they are written.

    Returns
    -------
    Commit
        The commit in the store, from any writer.

    Raises
    ------
    CorruptObjectError
        If the stored commit names bytes that this writer has replaced and does not have.
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
    """Create an object; return the existing bytes if there is one already."""
    while not objects.put_new(path, data):
        try:
            return objects.get(path)
        except CorruptObjectError:  # not a file, so no data is lost
            return b""
        except MissingObjectError:  # removed in the meantime
            continue
    return None


def _settle(
    objects: ObjectStore, valid: Commit, ours: Commit, shards: Mapping[str, Shard], found: Mapping[str, bytes]
) -> Commit:
    """Ensure that objects which existed before are those that the valid commit names."""
    for path, before in found.items():
        named = valid.objects[path]
        if named == ours.objects[path]:
            wanted = shards[path].data
        elif before == shards[path].data:
            continue  # this writer did not replace it
        else:
            wanted = before
        there = b""
        with suppress(MissingObjectError, CorruptObjectError):
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


class _EncodedSite(NamedTuple):
    rows: EncodedRows
    values: Shard


def encode_task(
    frozen: FrozenRecipe,
    task: Task,
    rows: TaskRows,
    *,
    name_of: Callable[[int], str] = str,
    parallel: ParallelMap = map,
) -> dict[str, Shard]:
    """Encode the rows of a task: object path to content, in the order in which they are written.

    Sites are encoded one by one, or in parallel by `parallel`.
    """
    quantizer, arrays = frozen.quantizer, {spec.path: spec for spec in frozen.row_arrays}

    def encode(site: Site) -> _EncodedSite:
        with _naming(site, task.index):
            found = encode_rows(rows.values[site.name], quantizer, frozen.site_calibration(site.name))
        _refuse_bad(found, site, rows, name_of)
        _refuse_overflow(frozen, site, found.beyond_N, rows, name_of)
        return _EncodedSite(found, encode_shard(arrays[values_path(site.name)], found.planes.values_ND))

    sites = dict(zip(frozen.sites, parallel(encode, frozen.sites), strict=True))
    encoded: dict[str, Shard] = {values_path(site.name): each.values for site, each in sites.items()}
    columns: dict[str, NDArray[Any]] = {
        "rows/sequence": rows.sequence_N,
        "rows/position": rows.position_N,
        "rows/token": rows.token_N,
    }
    if quantizer.scales is not None:
        path = scales_path(quantizer)
        columns[path] = _scales(arrays[path], [each.rows.planes for each in sites.values()], task.rows)
    encoded |= {path: encode_shard(arrays[path], column) for path, column in columns.items()}
    shards = {spec.object_path(task.index): encoded[path] for path, spec in arrays.items()}
    statistics = _statistics(sites)
    for spec in statistics_arrays(frozen.sites, frozen.tasks):
        shards[spec.object_path(task.index)] = Shard(_one_chunk(spec, statistics[spec.path]), ())
    last = arrays[LAST_ARRAY].object_path(task.index)
    shards[last] = shards.pop(last)
    return shards


def encode_site(frozen: FrozenRecipe, site: Site, values_ND: Float32s, *, task: int) -> Planes:
    """Encode the rows of a task at one site, on the host.

    Raises
    ------
    NumericsError
        If the encoding cannot hold a row; names site and task.
    """
    with _naming(site, task):
        return frozen.quantizer.encode(values_ND, frozen.site_calibration(site.name))


@contextmanager
def _naming(site: Site, task: int) -> Iterator[None]:
    try:
        yield
    except NumericsError as error:
        raise NumericsError(f"site {site.name}, task {task}: {error}") from error


def _scales(spec: ArraySpec, planes: Sequence[Planes], rows: int) -> NDArray[Any]:
    """Join the scales of all sites in one array; sites with fewer groups are padded with zeros."""
    scale_NSG = np.zeros((rows, len(planes), *(spec.shape[2:] or (1,))), dtype=spec.dtype)
    for index, plane in enumerate(planes):
        if plane.scale_NG is not None:
            scale_NSG[:, index, : plane.scale_NG.shape[1]] = plane.scale_NG
    return scale_NSG.reshape(rows, *spec.shape[1:])


def check_overflow(frozen: FrozenRecipe, site: Site, rows: TaskRows, *, name_of: Callable[[int], str] = str) -> None:
    """Refuse values of a site, on the host, that the encoding cannot hold.

    Raises
    ------
    NumericsError
        If there are any and the recipe says `on_overflow = "error"`; names the first.
    """
    beyond_N = count_beyond(rows.values[site.name], frozen.quantizer)
    _refuse_overflow(frozen, site, beyond_N, rows, name_of)


def _refuse_overflow(
    frozen: FrozenRecipe, site: Site, beyond_N: NDArray[np.int64] | None, rows: TaskRows, name_of: Callable[[int], str]
) -> None:
    if beyond_N is not None and beyond_N.any() and frozen.refuses_overflow:
        raise _overflow(site.name, beyond_N, rows, frozen.quantizer.name, name_of)


def _refuse_bad(found: EncodedRows, site: Site, rows: TaskRows, name_of: Callable[[int], str]) -> None:
    if found.bad is not None:
        where = _place(rows, found.bad.row, name_of)
        raise not_finite(f"{where}, site {site.name}", found.bad.values_D, f"{found.bad.rows} such rows in this task")


def _place(rows: TaskRows, row: int, name_of: Callable[[int], str]) -> str:
    return f"{name_of(int(rows.sequence_N[row]))}, residue {rows.position_N[row] + 1}"


def _overflow(
    site: str, beyond_N: NDArray[np.int64], rows: TaskRows, encoding: str, name_of: Callable[[int], str]
) -> NumericsError:
    row = int(np.flatnonzero(beyond_N)[0])
    where = f"{_place(rows, row, name_of)}, site {site}"
    return NumericsError(
        f"{where}: {beyond_N[row]} values exceed {encoding} (largest {QUANTIZERS[encoding].largest:g}), as do values "
        f"of {np.count_nonzero(beyond_N) - 1} more rows of this task; use encoding = 'bfloat16' or 'int8', or "
        "on_overflow = 'saturate'"
    )


def _statistics(encoded: Mapping[Site, _EncodedSite]) -> dict[str, NDArray[Any]]:
    sites = list(encoded)
    measures = [each.rows.measures for each in encoded.values()]
    beyond = [each.rows.beyond_N for each in encoded.values()]
    columns: dict[str, list[Any]] = {
        "count": [each.moments.count for each in measures],
        "norm_sum": [each.norm_sum for each in measures],
        "saturated": [0 if each is None else int(each.sum()) for each in beyond],
        "mean": [each.moments.mean_D for each in measures],
        "m2": [each.moments.m2_D for each in measures],
        "max_abs": [each.max_abs_D for each in measures],
        "noise": [each.noise_D for each in measures],
    }
    width = max(site.width for site in sites)
    return {f"statistics/{name}": _stack(column, sites, width) for name, column in columns.items()}


def _stack(column: list[Any], sites: Sequence[Site], width: int) -> NDArray[Any]:
    if np.ndim(column[0]) == 0:
        return np.array(column)
    stacked = np.zeros((len(sites), width))
    for row, vector in zip(stacked, column, strict=True):
        row[: len(vector)] = vector
    return stacked


def _one_chunk(spec: ArraySpec, values: NDArray[Any]) -> bytes:
    return values.astype(spec.dtype).tobytes()
