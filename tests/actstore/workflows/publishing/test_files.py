from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from actstore.access.open import LocalObjects, open_objects
from actstore.errors import CorruptObjectError
from actstore.store.format.canonical import sha256_hex
from actstore.store.read.open import stored_manifest
from actstore.workflows.publishing.files import PublishedFile, checked_copy, store_files

StoreOf = Callable[..., Path]


@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_the_files_of_a_store_are_all_that_it_has_but_its_manifest(store_of: StoreOf, encoding: str) -> None:
    objects = LocalObjects(store_of(**{"store.encoding": encoding}))
    files = list(store_files(objects, stored_manifest(objects)))
    assert len({file.path for file in files}) == len(files)
    sizes = objects.sizes()
    del sizes["manifest.json"]
    assert {file.path: file.size for file in files} == sizes
    assert {file.path: sha256_hex(objects.get(file.path)) for file in files} == {
        file.path: file.sha256 for file in files
    }


def test_a_commit_that_the_manifest_does_not_name_is_refused(own_store: StoreOf) -> None:
    store = own_store()
    manifest = stored_manifest(LocalObjects(store))
    commit = store / "commits" / "0.json"
    commit.write_bytes(commit.read_bytes().replace(b'"rows":', b'"rows": '))
    with pytest.raises(CorruptObjectError, match=r"commits/0\.json"):
        list(store_files(LocalObjects(store), manifest))


def test_local_files_are_used_where_they_are_and_others_copied(tmp_path: Path) -> None:
    there = open_objects(f"memory://{uuid4().hex}")
    here = LocalObjects(tmp_path / "store")
    file = PublishedFile("a/b", 3, sha256_hex(b"abc"))
    for objects in (there, here):
        objects.put("a/b", b"abc")
    assert checked_copy(here, file, tmp_path / "spool") == tmp_path / "store" / "a" / "b"
    assert not (tmp_path / "spool").exists()
    assert checked_copy(there, file, tmp_path / "spool").read_bytes() == b"abc"
    for number, objects in enumerate((there, here)):
        with pytest.raises(CorruptObjectError, match=r"a/b has sha256 .* it is not published: repair the store first"):
            checked_copy(objects, file._replace(sha256="0" * 64), tmp_path / f"other-{number}")
