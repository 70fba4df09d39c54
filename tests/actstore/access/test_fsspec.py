"""Filesystems of fsspec as object stores, also those that fail now and then."""

import io
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from fsspec.implementations.memory import MemoryFileSystem

from actstore.access.fsspec import FsspecObjects
from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.retrying import Retries
from actstore.errors import MissingObjectError, StorageUnavailableError, StoreError
from actstore.testing.conformance_objects import OBJECT_CHECKS

PATIENT = Retries(attempts=100, sleep=lambda _: None)
"""Enough for any run of bad luck."""


class FlakyFileSystem(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Loses half of all requests, and half of the answers to the others."""

    protocol = "flaky"
    cachable = False

    def __init__(self, *, seed: int = 0, loses: float = 0.5) -> None:
        super().__init__()
        self._random = random.Random(seed)
        self._loses = loses
        self._inside = threading.local()

    def _unreliably(self, act: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if getattr(self._inside, "request", False):
            return act(*arguments, **options)
        if self._random.random() < self._loses:
            raise ConnectionRefusedError("nobody listens")
        self._inside.request = True
        try:
            answer = act(*arguments, **options)
        finally:
            self._inside.request = False
        if self._random.random() < self._loses:
            raise ConnectionResetError("the answer was lost")
        return answer

    def cat_file(self, *arguments: Any, **options: Any) -> Any:
        return self._unreliably(super().cat_file, *arguments, **options)

    def pipe_file(self, *arguments: Any, **options: Any) -> Any:
        return self._unreliably(super().pipe_file, *arguments, **options)

    def put_file(self, *arguments: Any, **options: Any) -> Any:
        return self._unreliably(super().put_file, *arguments, **options)

    def info(self, *arguments: Any, **options: Any) -> Any:
        return self._unreliably(super().info, *arguments, **options)

    def rm_file(self, *arguments: Any, **options: Any) -> Any:
        return self._unreliably(super().rm_file, *arguments, **options)


def objects_of(filesystem: MemoryFileSystem, **options: Any) -> FsspecObjects:
    return FsspecObjects(filesystem, f"/{uuid4().hex}/store", **options)


@pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
def test_a_filesystem_conforms(check: Callable[[ObjectStore], None]) -> None:
    check(open_objects(f"memory://{uuid4().hex}/store"))


@pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
def test_one_that_loses_requests_and_answers_conforms_all_the_same(check: Callable[[ObjectStore], None]) -> None:
    check(objects_of(FlakyFileSystem(), retries=PATIENT))


def test_a_create_whose_answer_was_lost_is_ours() -> None:
    filesystem = FlakyFileSystem(seed=3)
    objects = objects_of(filesystem, retries=PATIENT)
    assert all(objects.put_new(f"commits/{index}.json", b"ours") for index in range(100))


def test_a_create_that_comes_second_is_not_ours_however_often_it_is_tried() -> None:
    filesystem = FlakyFileSystem(seed=4)
    objects = objects_of(filesystem, retries=PATIENT)
    for index in range(100):
        objects.put(f"commits/{index}.json", b"theirs")
        assert not objects.put_new(f"commits/{index}.json", b"ours")
        assert objects.get(f"commits/{index}.json") == b"theirs"


def test_an_object_removed_between_a_create_and_the_look_at_it_is_not_ours() -> None:
    class Removing(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        def cat_file(self, path: str, *arguments: Any, **options: Any) -> Any:
            self.rm_file(path)
            return super().cat_file(path, *arguments, **options)

    objects = objects_of(Removing(skip_instance_cache=True))
    objects.put("commits/0.json", b"theirs")
    assert not objects.put_new("commits/0.json", b"theirs")


@pytest.mark.parametrize(
    "operation",
    [
        lambda objects: objects.get("a"),
        lambda objects: objects.get_range("a", 0, 4),
        lambda objects: objects.read_into("a", 0, memoryview(bytearray(4))),
        lambda objects: objects.put("a", b"x"),
        lambda objects: objects.put_new("a", b"x"),
        lambda objects: objects.put_file("a", Path(__file__)),
        lambda objects: objects.open("a").__enter__(),
        lambda objects: objects.delete("a"),
    ],
)
def test_every_operation_gives_up_in_the_end_and_names_the_object(
    operation: Callable[[FsspecObjects], object],
) -> None:
    objects = objects_of(FlakyFileSystem(loses=1.0), retries=replace(PATIENT, attempts=4))
    with pytest.raises(StorageUnavailableError, match=r"store: object a: nobody listens; given up after 4 attempts"):
        operation(objects)


def test_an_error_is_told_without_the_secrets_of_the_options() -> None:
    class Chatty(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        def cat_file(self, *arguments: Any, **options: Any) -> Any:
            raise PermissionError("no entry for hush-hush-hush at http://me:hush@host/")

    objects = objects_of(Chatty(skip_instance_cache=True), secrets=("hush-hush-hush",))
    with pytest.raises(
        StoreError, match=r"object a cannot be read: no entry for \(hidden\) at http://\(hidden\)@host/"
    ):
        objects.get("a")


class Coarse(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Gives whole objects where a part is asked for, and sizes of none."""

    def cat_file(self, path: str, *_: Any, **__: Any) -> Any:
        return super().cat_file(path)

    def info(self, *arguments: Any, **options: Any) -> Any:
        return super().info(*arguments, **options) | {"size": None}

    def find(self, *arguments: Any, **options: Any) -> Any:
        return {name: facts | {"size": None} for name, facts in super().find(*arguments, **options).items()}


@pytest.mark.parametrize(
    "read",
    [
        lambda objects: objects.get_range("a", 4, 6),
        lambda objects: objects.read_into("a", 4, memoryview(bytearray(2))),
    ],
)
def test_an_answer_that_is_longer_than_asked_for_is_an_error(read: Callable[[FsspecObjects], object]) -> None:
    objects = objects_of(Coarse(skip_instance_cache=True))
    objects.put("a", b"0123456789")
    with pytest.raises(StoreError, match=r"object a cannot be read: asked for bytes 4-5, the storage sends 10 bytes"):
        read(objects)


def test_nothing_is_asked_for_where_nothing_is_wanted() -> None:
    objects = objects_of(Coarse(skip_instance_cache=True))
    objects.put("a", b"0123456789")
    assert objects.get_range("a", 4, 4) == b""
    assert objects.read_into("a", 4, memoryview(bytearray())) == 0


@pytest.mark.parametrize("ask", [lambda objects: objects.sizes(), lambda objects: objects.open("a").__enter__()])
def test_storage_that_does_not_say_sizes_is_an_error(ask: Callable[[FsspecObjects], object]) -> None:
    objects = objects_of(Coarse(skip_instance_cache=True))
    objects.put("a", b"0123456789")
    with pytest.raises(StoreError, match=r"object a cannot be read: the storage does not say its size"):
        ask(objects)


@pytest.mark.parametrize("answered", ["by the error", "by its cause"])
def test_a_bucket_that_does_not_exist_is_no_missing_object(answered: str) -> None:
    refused = ClientError({"Error": {"Code": "NoSuchBucket"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "PutObject")

    class Bucketless(MemoryFileSystem):  # type: ignore[misc]  # fsspec has no types
        def cat_file(self, *_: Any, **__: Any) -> Any:
            raise refused if answered == "by the error" else FileNotFoundError() from refused

    objects = FsspecObjects(Bucketless(skip_instance_cache=True), "bucket/store")
    with pytest.raises(
        StoreError, match=r"object a cannot be read: bucket bucket does not exist; create it, or check the name"
    ) as caught:
        objects.get("a")
    assert not isinstance(caught.value, MissingObjectError)


def test_reading_piece_by_piece_asks_for_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = open_objects(f"memory://{uuid4().hex}/store")
    content = random.Random(5).randbytes(3_000_000)
    objects.put("sequences.parquet", content)
    with objects.open("sequences.parquet") as file:
        assert file.seek(-100, io.SEEK_END) == len(content) - 100
        assert file.read(60) + file.read() == content[-100:]
        assert file.seek(2_000_000) == 2_000_000
        assert file.read(900_000) == content[2_000_000:2_900_000]
        assert file.seek(7, io.SEEK_CUR) == 2_900_007
        assert file.read(3) == content[2_900_007:2_900_010]
        assert file.seek(len(content) + 5) == len(content) + 5
        assert file.read() == b""
        file.seek(0)
        assert file.read() == content


def test_an_error_in_the_middle_of_a_file_names_the_object() -> None:
    objects = open_objects(f"memory://{uuid4().hex}/store")
    objects.put("sequences.parquet", b"x" * 3_000_000)
    with objects.open("sequences.parquet") as file:
        file.read(10)
        objects.delete("sequences.parquet")
        with pytest.raises(MissingObjectError, match=r"sequences\.parquet is missing"):
            file.read()


def test_a_local_file_that_is_gone_is_not_reported_as_a_missing_object(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"object sequences\.parquet cannot be written") as caught:
        open_objects("memory://somewhere/store").put_file("sequences.parquet", tmp_path / "gone")
    assert type(caught.value) is StoreError
