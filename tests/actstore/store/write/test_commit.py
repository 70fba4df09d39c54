"""A commit describes every byte that a task wrote."""

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from pydantic import ValidationError

from actstore.access.open import LocalObjects
from actstore.errors import CorruptObjectError, MissingObjectError
from actstore.store.format.canonical import sha256_hex
from actstore.store.write.commit import Commit, StoredObject, commit_task, committed_tasks, load_commit

DIGEST = "ab" * 32


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    return LocalObjects(tmp_path)


def commit_of(task: int) -> Commit:
    stored = {f"rows/token/c/{task}": StoredObject.of(b"content", (1, 2, 0xFFFFFFFF))}
    return Commit(task=task, split="train", rows=7, recipe_sha256=DIGEST, objects=stored)


def test_a_stored_object_has_size_and_digests() -> None:
    stored = StoredObject.of(b"content", (1, 2, 0xFFFFFFFF))
    assert stored.size == 7
    assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
    assert stored.chunk_crc32c == (1, 2, 0xFFFFFFFF)
    assert base64.b64decode(stored.crc32c) == bytes([1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255])
    assert StoredObject.of(b"").chunk_crc32c == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [("size", -1), ("sha256", "AB" * 32), ("sha256", "ab"), ("crc32c", "!!!!"), ("crc32c", "AAA="), ("extra", 1)],
)
def test_a_stored_object_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    document = StoredObject.of(b"content").model_dump() | {field: value}
    with pytest.raises(ValidationError, match=field):
        StoredObject.model_validate(document)


def test_a_commit_comes_back_as_it_was_written(objects: LocalObjects) -> None:
    commit = commit_of(3)
    objects.put("commits/3.json", commit.to_json())
    assert load_commit(objects, 3) == commit
    assert load_commit(objects, 3, sha256=sha256_hex(commit.to_json())) == commit


def test_only_commits_count_as_committed(objects: LocalObjects) -> None:
    assert committed_tasks(objects) == set()
    for name in ("commits/0.json", "commits/12.json", "commits/notes.txt", "commits/-1.json", "commits2/5.json"):
        objects.put(name, b"{}")
    assert committed_tasks(objects) == {0, 12}


@pytest.mark.parametrize(
    ("path", "task"),
    [
        ("commits/0.json", 0),
        ("commits/170.json", 170),
        ("commits/07.json", None),
        ("commits/7", None),
        ("commits/-7.json", None),
        ("commits/٧.json", None),
        ("commits/7.json.bak", None),
        ("commits/old/7.json", None),
        ("commits/7.json\n", None),
        ("7.json", None),
        ("sites/commits/7.json", None),
    ],
)
def test_a_commit_lies_at_one_path_and_no_other(path: str, task: int | None) -> None:
    """Another spelling would make a task count as done whose commit nobody finds."""
    assert commit_task(path) == task


def test_a_commit_that_is_not_there_is_missing(objects: LocalObjects) -> None:
    with pytest.raises(MissingObjectError, match=r"commits/3\.json"):
        load_commit(objects, 3)


def test_a_commit_other_than_the_manifest_says_is_corrupt(objects: LocalObjects) -> None:
    objects.put("commits/3.json", commit_of(3).to_json())
    with pytest.raises(
        CorruptObjectError, match=r"commits/3\.json \(task 3\): sha256 .* the manifest says abababababab"
    ):
        load_commit(objects, 3, sha256=DIGEST)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-20], "does not parse"),
        (lambda data: b"", "does not parse"),
        (lambda data: b"\xff" + data, "does not parse"),
        (lambda data: data.replace(b'"rows":7', b'"rows":-7'), "does not parse"),
        (lambda data: data.replace(b'"rows":7', b'"rows":7,"more":1'), "does not parse"),
        (lambda data: data.replace(b'"task":3', b'"task":4'), "is the commit of task 4"),
        (lambda data: json.dumps(json.loads(data)).encode(), "was edited"),
        (lambda data: data.replace(b'"rows":7', b'"rows":8,"rows":7'), "was edited"),
    ],
)
def test_a_damaged_commit_is_corrupt(objects: LocalObjects, damage: Callable[[bytes], bytes], message: str) -> None:
    objects.put("commits/3.json", damage(commit_of(3).to_json()))
    with pytest.raises(CorruptObjectError, match=rf"commits/3\.json.*{message}"):
        load_commit(objects, 3)


def test_a_real_commit_names_every_object_of_its_task(store_of: Callable[..., Path]) -> None:
    objects = LocalObjects(store_of())
    commit = load_commit(objects, 1)
    of_task = {
        path for path in objects.sizes() if "/c/1/" in f"{path}/" and not path.endswith(("center/c/1", "channel/c/1"))
    }
    assert set(commit.objects) == of_task
    for path, stored in commit.objects.items():
        data = objects.get(path)
        assert (stored.size, stored.sha256) == (len(data), sha256_hex(data))
        size = len(data) // (len(stored.chunk_crc32c) or 1)
        if stored.chunk_crc32c:
            index = len(stored.chunk_crc32c) * 16 + 4
            size = (len(data) - index) // len(stored.chunk_crc32c)
            chunks = [data[start : start + size] for start in range(0, len(data) - index, size)]
            assert tuple(map(google_crc32c.value, chunks)) == stored.chunk_crc32c
