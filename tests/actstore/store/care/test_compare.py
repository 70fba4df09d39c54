"""An object beside its commit; damage to whole stores is in `tests/actstore/workflows/care/test_examine.py`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from actstore.access.open import LocalObjects
from actstore.store.care.compare import compare_object, compare_sha256
from actstore.store.format.canonical import sha256_hex
from actstore.store.format.layout import ArraySpec
from actstore.store.write.commit import StoredObject, load_commit
from actstore.store.write.frozen_recipe import load_frozen

StoreOf = Callable[..., Path]


@pytest.fixture(params=["none", "zstd"])
def objects(request: pytest.FixtureRequest, own_store: StoreOf) -> LocalObjects:
    return LocalObjects(own_store(**({} if request.param == "none" else {"store.compressor": request.param})))


def values(objects: LocalObjects) -> tuple[ArraySpec, StoredObject]:
    spec = next(spec for spec in load_frozen(objects).task_arrays if spec.path == "sites/embed/values")
    return spec, load_commit(objects, 1).objects["sites/embed/values/c/1/0"]


def test_every_object_of_a_sound_store_agrees_with_its_commit(objects: LocalObjects) -> None:
    frozen = load_frozen(objects)
    for task in range(frozen.tasks):
        stored = load_commit(objects, task).objects
        for spec in frozen.task_arrays:
            assert compare_object(objects, spec, task, stored[spec.object_path(task)]) is None


@pytest.mark.parametrize("size", [0, 1, 100, 1027, 1029])
def test_another_size_is_said(size: int, objects: LocalObjects) -> None:
    spec, stored = values(objects)
    objects.put(spec.object_path(1), bytes(size))
    difference = compare_object(objects, spec, 1, stored)
    assert difference is not None
    assert difference.problem == f"{size:,} bytes, the commit says {stored.size:,}"
    assert not difference.in_commit


@pytest.mark.parametrize("place", [0, 5000, -1, -5, -30])
def test_any_other_byte_changes_the_digest_wherever_it_lies(place: int, objects: LocalObjects) -> None:
    spec, stored = values(objects)
    data = bytearray(objects.get(spec.object_path(1)))
    data[place] ^= 1
    objects.put(spec.object_path(1), bytes(data))
    difference = compare_object(objects, spec, 1, stored)
    assert difference is not None
    assert difference.problem == f"sha256 {sha256_hex(bytes(data))[:12]}..., should be {stored.sha256[:12]}..."


@pytest.mark.parametrize("crc32c", ["", "AAAAAA==", None])
def test_checksums_that_its_chunks_do_not_have_are_the_fault_of_the_commit(
    crc32c: str | None, objects: LocalObjects
) -> None:
    spec, stored = values(objects)
    other = load_commit(objects, 2).objects["sites/embed/values/c/2/0"].crc32c if crc32c is None else crc32c
    difference = compare_object(objects, spec, 1, stored.model_copy(update={"crc32c": other}))
    assert difference is not None
    assert difference.in_commit


def test_what_is_not_there_or_cannot_be_read_is_said(objects: LocalObjects) -> None:
    spec, stored = values(objects)
    objects.delete(spec.object_path(1))
    for difference in (
        compare_object(objects, spec, 1, stored),
        compare_sha256(objects, spec.object_path(1), stored.sha256, most_bytes=stored.size),
    ):
        assert difference is not None
        assert difference.problem == "missing"


def test_any_object_beside_a_digest(objects: LocalObjects) -> None:
    data = objects.get("sequences.parquet")
    assert compare_sha256(objects, "sequences.parquet", sha256_hex(data), most_bytes=len(data)) is None
    objects.put("sequences.parquet", data + b"x")
    difference = compare_sha256(objects, "sequences.parquet", sha256_hex(data), most_bytes=len(data) + 1)
    assert difference is not None
    assert difference.problem.startswith(f"sha256 {sha256_hex(data + b'x')[:12]}...")


class _Counting(LocalObjects):
    """Counts what is read of opened objects."""

    read = 0

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        with super().open(path) as file:
            yield file
            self.read += file.tell()


def test_of_what_is_too_large_no_more_is_read_than_shows_it(objects: LocalObjects) -> None:
    spec, stored = values(objects)
    counting = _Counting(Path(objects.uri))
    for path in (spec.object_path(1), "sequences.parquet"):
        os.truncate(objects.local_path(path), 1 << 40)
    difference = compare_object(counting, spec, 1, stored)
    assert difference is not None
    assert difference.problem == f"has more than {stored.size:,} bytes, the commit says {stored.size:,}"
    assert counting.read == stored.size + 1
    difference = compare_sha256(counting, "sequences.parquet", stored.sha256, most_bytes=1000)
    assert difference is not None
    assert difference.problem == "has more than 1,000 bytes, as no such object has"
    assert counting.read == stored.size + 1 + 1001
