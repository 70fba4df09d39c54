"""Checks that every `ObjectStore` must pass; a test runs them on an empty one.

Use them with pytest::

    @pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
    def test_my_objects_conform(check, tmp_path):
        check(MyObjects(tmp_path))
"""

# ruff: noqa: S101 - these functions are assertions, for test runners
from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from actstore.access.objects import ObjectStore
from actstore.errors import MissingObjectError

__all__ = [
    "OBJECT_CHECKS",
    "check_delete",
    "check_empty_objects",
    "check_get_returns_what_was_put",
    "check_missing_objects",
    "check_modified",
    "check_open_seeks",
    "check_put_file",
    "check_put_new_creates_only",
    "check_put_new_has_one_winner",
    "check_put_replaces",
    "check_ranges",
    "check_read_into",
    "check_reads_are_never_torn",
    "check_sizes",
    "check_writers_do_not_disturb_each_other",
]

_THREADS: Final = 8
_ROUNDS: Final = 20
_CLOCKS_DIFFER_S: Final = 3600.0
_CONTENT: Final = bytes(range(256)) * 40


def check_get_returns_what_was_put(objects: ObjectStore) -> None:
    """Check that `get` returns the bytes that were put, at any depth of path."""
    for path in ("zarr.json", "commits/0.json", "sites/resid_post.0/values/c/17/0"):
        objects.put(path, path.encode() + _CONTENT)
    for path in ("sites/resid_post.0/values/c/17/0", "commits/0.json", "zarr.json"):
        assert objects.get(path) == path.encode() + _CONTENT


def check_empty_objects(objects: ObjectStore) -> None:
    """Check that an object without bytes exists like any other."""
    objects.put("empty", b"")
    assert objects.get("empty") == b""
    assert objects.sizes() == {"empty": 0}
    assert not objects.put_new("empty", b"not empty")


def check_put_replaces(objects: ObjectStore) -> None:
    """Check that a second `put` replaces the object, and that a shorter one leaves no bytes of the longer one."""
    objects.put("a/b", _CONTENT)
    objects.put("a/b", b"short")
    assert objects.get("a/b") == b"short"
    assert objects.sizes() == {"a/b": 5}


def check_put_new_creates_only(objects: ObjectStore) -> None:
    """Check that `put_new` writes the first time and changes nothing afterwards."""
    assert objects.put_new("commits/3.json", b"first")
    assert not objects.put_new("commits/3.json", b"second")
    assert objects.get("commits/3.json") == b"first"
    objects.put("commits/4.json", b"put")
    assert not objects.put_new("commits/4.json", b"put_new")
    assert objects.get("commits/4.json") == b"put"


def check_put_new_has_one_winner(objects: ObjectStore) -> None:
    """Check that if several threads create an object at once, exactly one succeeds, and the object has its content."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for round_ in range(_ROUNDS):
            path, together = f"commits/{round_}.json", threading.Barrier(_THREADS)

            def create(writer: int, path: str = path, together: threading.Barrier = together) -> bool:
                together.wait()
                return objects.put_new(path, _signed(writer))

            winners = [writer for writer, won in enumerate(pool.map(create, range(_THREADS))) if won]
            assert len(winners) == 1, f"{path}: created by {winners}"
            assert objects.get(path) == _signed(winners[0])


def check_reads_are_never_torn(objects: ObjectStore) -> None:
    """Check that a reader sees one whole version while writers replace an object."""
    versions = {_signed(writer) for writer in range(_THREADS)}
    objects.put("hot", _signed(0))
    with ThreadPoolExecutor(_THREADS) as pool:
        writes = [pool.submit(objects.put, "hot", _signed(turn % _THREADS)) for turn in range(_THREADS * _ROUNDS)]
        while not all(write.done() for write in writes):
            assert objects.get("hot") in versions
        for write in writes:
            write.result()
    assert objects.get("hot") in versions
    assert set(objects.sizes()) == {"hot"}


def check_writers_do_not_disturb_each_other(objects: ObjectStore) -> None:
    """Check that many threads can write different objects at the same time."""
    paths = [f"sites/s{index % 5}/values/c/{index}/0" for index in range(_THREADS * _ROUNDS)]
    write: tuple[Callable[[str, bytes], Any], ...] = (objects.put, objects.put_new)
    with ThreadPoolExecutor(_THREADS) as pool:
        done = [pool.submit(write[index % 2], path, path.encode()) for index, path in enumerate(paths)]
        for each in done:
            each.result()
    assert objects.sizes() == {path: len(path) for path in paths}
    assert all(objects.get(path) == path.encode() for path in paths)


def check_ranges(objects: ObjectStore) -> None:
    """Check that `get_range` returns bytes [start, stop), and fewer if the object ends before."""
    objects.put("rows/sequence/c/0", _CONTENT)
    size = len(_CONTENT)
    for start, stop in ((0, size), (0, 1), (7, 300), (size - 4, size), (size - 4, size + 100)):
        assert objects.get_range("rows/sequence/c/0", start, stop) == _CONTENT[start:stop]


def check_read_into(objects: ObjectStore) -> None:
    """Check that `read_into` fills memory from any start, returns the number of bytes, and writes nothing beyond."""
    objects.put("rows/sequence/c/0", _CONTENT)
    size = len(_CONTENT)
    for start, asked in ((0, size), (0, 1), (7, 293), (size - 4, 4), (size - 4, 100), (size, 8), (5, 0)):
        memory = bytearray(b"\x5a" * (asked + 2))
        expected = _CONTENT[start : start + asked]
        found = objects.read_into("rows/sequence/c/0", start, memoryview(memory)[1 : asked + 1])
        assert found == len(expected), f"{asked} bytes from {start} of {size}: {found} were found"
        assert memory[1 : found + 1] == expected
        assert memory[0] == memory[-1] == 0x5A


def check_sizes(objects: ObjectStore) -> None:
    """Check that `sizes` lists all objects below a folder, and no objects of a folder whose name only begins alike."""
    assert objects.sizes() == {}
    assert objects.sizes("commits") == {}
    for path, size in {"zarr.json": 3, "commits/0.json": 4, "commits/10.json": 5, "commits2/0.json": 6}.items():
        objects.put(path, b"x" * size)
    assert objects.sizes("commits") == {"commits/0.json": 4, "commits/10.json": 5}
    assert objects.sizes() == {"zarr.json": 3, "commits/0.json": 4, "commits/10.json": 5, "commits2/0.json": 6}
    assert objects.sizes("nothing/here") == {}


def check_missing_objects(objects: ObjectStore) -> None:
    """Check that reading a missing object or a folder raises an error that names store and object."""
    objects.put("folder/object", b"there")

    def open_it(path: str) -> None:
        with objects.open(path):
            pass

    reads: tuple[Callable[[str], Any], ...] = (
        objects.get,
        lambda path: objects.get_range(path, 0, 4),
        lambda path: objects.read_into(path, 0, memoryview(bytearray(4))),
        open_it,
    )
    for path in ("nothing", "folder/nothing", "folder"):
        for read in reads:
            message = ""
            try:
                read(path)
            except MissingObjectError as error:
                message = str(error)
            assert message, f"{path} is not there and was read"
            assert path in message
            assert objects.uri in message
    assert objects.sizes() == {"folder/object": 5}


def check_put_file(objects: ObjectStore) -> None:
    """Check that a local file becomes an object, replaces one, and stays where it was."""
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "sequences"
        for content in (_CONTENT, b"shorter"):
            local.write_bytes(content)
            objects.put_file("sequences.parquet", local)
            assert objects.get("sequences.parquet") == content
            assert local.read_bytes() == content


def check_open_seeks(objects: ObjectStore) -> None:
    """Check that an object can be read in pieces, from the end and from anywhere."""
    objects.put("sequences.parquet", _CONTENT)
    with objects.open("sequences.parquet") as file:
        assert file.read(4) == _CONTENT[:4]
        assert file.read(4) == _CONTENT[4:8]
        assert file.seek(-8, 2) == len(_CONTENT) - 8
        assert file.read() == _CONTENT[-8:]
        file.seek(1000)
        assert file.tell() == 1000
        assert file.read(1) == _CONTENT[1000:1001]


def check_delete(objects: ObjectStore) -> None:
    """Check that a removed object is gone and can be created again, and that removing a missing one is no error."""
    for path in ("commits/3.json", "commits/4.json"):
        objects.put(path, path.encode())
    objects.delete("commits/3.json")
    objects.delete("commits/3.json")
    objects.delete("nothing/here")
    assert objects.sizes() == {"commits/4.json": 14}
    message = ""
    try:
        objects.get("commits/3.json")
    except MissingObjectError as error:
        message = str(error)
    assert message, "commits/3.json was removed and was read"
    assert objects.put_new("commits/3.json", b"again")
    assert objects.get("commits/3.json") == b"again"


def check_modified(objects: ObjectStore) -> None:
    """Check that the storage gives the time of writing of every object, by a clock within an hour of this one."""
    assert objects.modified() == {}
    for path in ("zarr.json", "commits/0.json"):
        objects.put(path, b"x")
    assert objects.modified("commits").keys() == {"commits/0.json"}
    written = objects.modified()
    assert written.keys() == {"zarr.json", "commits/0.json"}
    assert all(abs(time.time() - written_s) < _CLOCKS_DIFFER_S for written_s in written.values())


OBJECT_CHECKS: Final[tuple[Callable[[ObjectStore], None], ...]] = (
    check_get_returns_what_was_put,
    check_empty_objects,
    check_put_replaces,
    check_put_new_creates_only,
    check_put_new_has_one_winner,
    check_reads_are_never_torn,
    check_writers_do_not_disturb_each_other,
    check_ranges,
    check_read_into,
    check_sizes,
    check_missing_objects,
    check_put_file,
    check_open_seeks,
    check_delete,
    check_modified,
)
"""Every check, to be parametrised over; each needs an empty store."""


def _signed(writer: int) -> bytes:
    """Return content long enough to be torn, of which every byte identifies its writer."""
    return bytes([writer]) * (1 << 16)
