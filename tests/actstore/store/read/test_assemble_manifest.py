"""The manifest is a pure function of what is in the store."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.errors import CorruptObjectError, MissingObjectError, StoreNotFoundError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.format.shard import index_bytes
from actstore.store.read.assemble_manifest import assemble_manifest, write_manifest
from actstore.store.write.commit import load_commit

StoreOf = Callable[..., Path]


def edit_commit(folder: Path, task: int, **changes: Any) -> None:
    path = folder / "commits" / f"{task}.json"
    path.write_bytes(canonical_json(json.loads(path.read_bytes()) | changes))


def test_assembling_again_gives_the_manifest_of_the_store(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    assert assemble_manifest(objects).to_json(uri=None) == objects.get("manifest.json")


def test_the_order_in_which_tasks_were_committed_does_not_matter(own_store: StoreOf, tmp_path: Path) -> None:
    folder = own_store()
    commits = {path: path.read_bytes() for path in (folder / "commits").iterdir()}
    digests = set()
    for order in (sorted(commits), sorted(commits, reverse=True)):
        shutil.rmtree(folder / "commits")
        (folder / "commits").mkdir()
        for path in order:
            path.write_bytes(commits[path])
        digests.add(assemble_manifest(LocalObjects(folder)).digest)
    assert digests == {sha256_hex((folder / "manifest.json").read_bytes())}


def test_it_names_the_digest_of_every_commit_and_of_all_metadata(store_of: StoreOf) -> None:
    objects = LocalObjects(store_of())
    manifest = assemble_manifest(objects)
    for task, digest in enumerate(manifest.commits):
        assert digest == sha256_hex(objects.get(f"commits/{task}.json"))
    committed = {path for task in range(manifest.frozen.tasks) for path in load_commit(objects, task).objects}
    named = {*committed, *manifest.metadata, *(f"commits/{task}.json" for task in range(manifest.frozen.tasks))}
    assert named | {"manifest.json"} == set(objects.sizes())
    for path, digest in manifest.metadata.items():
        assert digest == sha256_hex(objects.get(path)), path


@pytest.mark.parametrize(("encoding", "row_bytes"), [("int8", 16 + 2), ("int4", 8 + 2), ("float16", 16 * 2)])
def test_sizes_are_those_of_the_objects(store_of: StoreOf, encoding: str, row_bytes: int) -> None:
    objects = LocalObjects(store_of(**({} if encoding == "int8" else {"store.encoding": encoding})))
    manifest = assemble_manifest(objects)
    frozen = manifest.frozen
    sizes = objects.sizes()
    arrays = frozen.row_arrays
    payload = [spec for spec in arrays if not spec.path.startswith("rows/")]
    rows = sum(-(-frozen.rows_of(task) // 64) * 64 for task in range(frozen.tasks))
    assert manifest.stored.payload_rows == rows
    assert manifest.stored.payload == rows * 4 * row_bytes
    assert manifest.stored.payload == sum(
        sizes[spec.object_path(task)] - index_bytes(spec) for task in range(frozen.tasks) for spec in payload
    )
    assert manifest.stored.objects == frozen.tasks * (len(arrays) + 7)
    assert manifest.stored.total == sum(
        size for path, size in sizes.items() if "/c/" in path and not path.endswith(("center/c/0", "channel/c/0"))
    )


def test_a_store_in_the_making_has_a_manifest_of_what_is_there(own_store: StoreOf) -> None:
    folder = own_store()
    whole = assemble_manifest(LocalObjects(folder))
    for task in (0, 3):
        (folder / "commits" / f"{task}.json").unlink()
    partial = assemble_manifest(LocalObjects(folder))
    assert [task for task, digest in enumerate(partial.commits) if digest is None] == [0, 3]
    assert partial.rows == whole.rows
    rows = sum(partial.frozen.rows_of(task) for task in range(partial.frozen.tasks) if task not in {0, 3})
    assert partial.statistics["embed"].count == rows
    assert partial.stored.objects < whole.stored.objects


def test_a_store_just_frozen_has_one_too(own_store: StoreOf) -> None:
    folder = own_store()
    shutil.rmtree(folder / "commits")
    empty = assemble_manifest(LocalObjects(folder))
    assert empty.tasks_done == 0
    assert empty.stored.total == 0
    assert np.isfinite(empty.statistics["embed"].mean_norm)


def test_writing_puts_it_into_the_store(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "manifest.json").unlink()
    manifest = write_manifest(LocalObjects(folder))
    assert sha256_hex((folder / "manifest.json").read_bytes()) == manifest.digest


@pytest.mark.parametrize("path", ["rows/token/zarr.json", "sites/embed/center/c/0"])
def test_it_does_not_vouch_for_metadata_that_were_damaged_before(path: str, own_store: StoreOf) -> None:
    objects = LocalObjects(own_store())
    objects.delete("manifest.json")
    objects.put(path, objects.get(path)[:-1])
    with pytest.raises(CorruptObjectError, match=rf"{path} is not what the recipe implies; 'actstore repair URI'"):
        write_manifest(objects)
    assert "manifest.json" not in objects.sizes()


def test_no_store_has_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no activation store here"):
        assemble_manifest(LocalObjects(tmp_path))


def test_commits_of_another_recipe_are_refused(own_store: StoreOf) -> None:
    folder = own_store()
    edit_commit(folder, 2, recipe_sha256="0" * 64)
    with pytest.raises(CorruptObjectError, match="the commit of task 2 was made under another recipe"):
        assemble_manifest(LocalObjects(folder))


def test_commits_of_tasks_that_the_recipe_does_not_have_are_refused(own_store: StoreOf) -> None:
    folder = own_store()
    shutil.copy(folder / "commits/0.json", folder / "commits/99.json")
    with pytest.raises(CorruptObjectError, match="a commit of task 99; the recipe has 12 tasks"):
        assemble_manifest(LocalObjects(folder))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rows": 5}, "says 5 rows of 'train', the recipe gives 1024 of 'train'"),
        ({"split": "test"}, "says 1024 rows of 'test', the recipe gives 1024 of 'train'"),
        ({"objects": {}}, "does not name rows/position/c/2, "),
    ],
    ids=["rows", "split", "objects"],
)
def test_commits_that_do_not_fit_the_recipe_are_refused(
    own_store: StoreOf, changes: dict[str, Any], problem: str
) -> None:
    folder = own_store()
    edit_commit(folder, 2, **changes)
    with pytest.raises(CorruptObjectError, match=f"the commit of task 2 {problem}"):
        assemble_manifest(LocalObjects(folder))


def test_a_commit_swapped_for_another_is_refused(own_store: StoreOf) -> None:
    folder = own_store()
    shutil.copy(folder / "commits/1.json", folder / "commits/2.json")
    with pytest.raises(CorruptObjectError, match=r"commits/2\.json is the commit of task 1"):
        assemble_manifest(LocalObjects(folder))


def test_lost_metadata_are_missing(own_store: StoreOf) -> None:
    folder = own_store()
    (folder / "sites/embed/zarr.json").unlink()
    with pytest.raises(MissingObjectError, match=r"sites/embed/zarr\.json"):
        assemble_manifest(LocalObjects(folder))
