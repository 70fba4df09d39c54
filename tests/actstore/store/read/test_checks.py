"""What commits say of chunks, and chunks that are not what they say."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import google_crc32c
import pytest

from actstore.access.open import LocalObjects
from actstore.errors import CorruptObjectError, IncompleteStoreError, MissingObjectError
from actstore.store.format.layout import ArraySpec
from actstore.store.read import checks as module
from actstore.store.read.checks import ChunkChecks
from actstore.store.read.open import locate_store

StoreOf = Callable[..., Path]


def specs_of(folder: Path) -> list[ArraySpec]:
    frozen = locate_store(folder)[0].frozen
    arrays = frozen.row_arrays
    return [spec for spec in arrays if spec.path in {"rows/sequence", "sites/embed/values"}]


def checks_of(folder: Path) -> ChunkChecks:
    manifest, objects = locate_store(folder)
    return ChunkChecks(objects, manifest, specs_of(folder))


def chunk_of(folder: Path, spec: ArraySpec, task: int, chunk: int) -> bytes:
    size = spec.chunk[0] * spec.row_bytes
    return (folder / spec.object_path(task)).read_bytes()[chunk * size : (chunk + 1) * size]


def test_sizes_and_checksums_are_those_of_the_files(store_of: StoreOf) -> None:
    folder = store_of()
    frozen = locate_store(folder)[0].frozen
    checks = checks_of(folder)
    for task in range(frozen.tasks):
        found = checks.task(task)
        chunks = -(-frozen.rows_of(task) // 64)
        assert found.rows == frozen.rows_of(task)
        for place, spec in enumerate(specs_of(folder)):
            assert found.bytes_A[place] == (folder / spec.object_path(task)).stat().st_size
            expected = [google_crc32c.value(chunk_of(folder, spec, task, chunk)) for chunk in range(chunks)]
            assert found.crc32c_AC[place].tolist() == expected


def test_a_chunk_is_compared_with_what_its_task_says(store_of: StoreOf) -> None:
    folder = store_of()
    checks = checks_of(folder)
    for place, spec in enumerate(specs_of(folder)):
        stored = chunk_of(folder, spec, 1, 3)
        checks.compare(place, 1, 3, stored)
        checks.compare(place, 1, 3, memoryview(stored))
        message = rf"{folder}: {spec.object_path(1)} \(task 1\): chunk 3 does not have the checksum.*actstore verify"
        with pytest.raises(CorruptObjectError, match=message):
            checks.compare(place, 1, 3, stored[:-1] + bytes([stored[-1] ^ 1]))
        for task, chunk in ((1, 2), (2, 3)):
            with pytest.raises(CorruptObjectError, match=rf"\(task {task}\): chunk {chunk} does not"):
                checks.compare(place, task, chunk, stored)


def test_a_commit_is_read_once_until_it_is_forgotten(own_store: StoreOf) -> None:
    folder = own_store()
    checks = checks_of(folder)
    before = checks.task(0)
    (folder / "commits/0.json").unlink()
    assert checks.task(0) is before
    checks.forget()
    with pytest.raises(MissingObjectError, match=r"commits/0\.json"):
        checks.task(0)


def test_only_so_many_tasks_are_kept_and_those_used_last(own_store: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TASKS_IN_MEMORY", 2)
    folder = own_store()
    checks = checks_of(folder)
    for task in (0, 1, 0, 2):
        checks.task(task)
    for task in (0, 1, 2):
        (folder / f"commits/{task}.json").unlink()
    checks.task(0)
    checks.task(2)
    with pytest.raises(MissingObjectError, match=r"commits/1\.json"):
        checks.task(1)


def test_a_commit_that_was_altered_is_found(own_store: StoreOf) -> None:
    folder = own_store()
    checks = checks_of(folder)
    path = folder / "commits/0.json"
    path.write_bytes(path.read_bytes().replace(b'"rows":1024', b'"rows":1023'))
    with pytest.raises(CorruptObjectError, match=r"commits/0\.json \(task 0\): sha256 .*, the manifest says"):
        checks.task(0)


def test_a_task_without_commit_is_not_extracted_yet(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "commits/1.json").unlink()
    (folder / "manifest.json").unlink()
    checks = checks_of(folder)
    assert checks.task(0).rows == 1024
    with pytest.raises(IncompleteStoreError, match="task 1 is not extracted yet"):
        checks.task(1)


def test_a_commit_with_other_chunks_than_its_rows_need_is_found(store_of: StoreOf) -> None:
    manifest, objects = locate_store(store_of())
    finer = [replace(spec, chunk=(32, *spec.chunk[1:])) for spec in specs_of(store_of())]
    with pytest.raises(CorruptObjectError, match=r"\(task 0\): its commit names 16 chunks, its rows need 32"):
        ChunkChecks(objects, manifest, finer).task(0)


def test_threads_share_what_was_read(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TASKS_IN_MEMORY", 2)
    checks = checks_of(store_of())
    tasks = list(range(locate_store(store_of())[0].frozen.tasks)) * 20
    alone = {task: checks_of(store_of()).task(task).crc32c_AC.tolist() for task in set(tasks)}
    with ThreadPoolExecutor(8) as pool:
        for task, found in zip(tasks, pool.map(checks.task, tasks), strict=True):
            assert found.crc32c_AC.tolist() == alone[task]


def test_objects_are_named_with_store_and_task(store_of: StoreOf) -> None:
    name = checks_of(store_of()).name(1, 7)
    assert name == f"{LocalObjects(store_of()).uri}: sites/embed/values/c/7/0 (task 7)"
