from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError, UsageError
from actstore.store.care.copy import Copied, begin_copy, copy_tasks
from actstore.store.read.open import locate_store
from actstore.store.write.part import PartFacts

StoreOf = Callable[..., Path]


class Recording(LocalObjects):
    """Remembers the order in which objects come into place."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.written: list[str] = []

    def put(self, path: str, data: bytes) -> None:
        super().put(path, data)
        self.written.append(path)

    def put_new(self, path: str, data: bytes) -> bool:
        new = super().put_new(path, data)
        self.written += [path] * new
        return new


def test_a_commit_comes_after_all_objects_of_its_task_as_in_an_extraction(store_of: StoreOf, tmp_path: Path) -> None:
    manifest, source = locate_store(store_of())
    copy = Recording(tmp_path / "copy")
    begin_copy(source, copy, manifest, manifest.frozen, check=False)
    assert copy.written[0] == "recipe.json"
    assert not any("commits" in path for path in copy.written)
    begun = len(copy.written)
    arrays = manifest.frozen.task_arrays
    written = copy_tasks(source, copy, manifest, manifest.frozen, tasks=[1, 0], check=False, progress=Silent())
    assert written.objects == 2 * len(arrays)
    for task in (0, 1):
        objects = {spec.object_path(task) for spec in arrays}
        commit = copy.written.index(f"commits/{task}.json", begun)
        assert objects <= set(copy.written[begun:commit])


def test_only_what_is_missing_or_differs_is_written_by_a_check(store_of: StoreOf, tmp_path: Path) -> None:
    manifest, source = locate_store(store_of())
    part = manifest.frozen.model_copy(update={"part": PartFacts(sites=("embed",))})
    copy = LocalObjects(tmp_path / "copy")
    begin_copy(source, copy, manifest, part, check=False)
    first = copy_tasks(source, copy, manifest, part, tasks=[0], check=True, progress=Silent())
    assert first.objects == len(part.task_arrays)
    assert copy_tasks(source, copy, manifest, part, tasks=[0], check=True, progress=Silent()) == Copied(0, 0)
    copy.put("sites/embed/values/c/0/0", b"short")
    again = copy_tasks(source, copy, manifest, part, tasks=[0], check=True, progress=Silent())
    assert again == Copied(1, len(copy.get("sites/embed/values/c/0/0")))


def test_a_place_with_another_store_is_refused_before_anything_is_written(store_of: StoreOf, tmp_path: Path) -> None:
    manifest, source = locate_store(store_of())
    other, others = locate_store(store_of(**{"store.encoding": "float16"}))
    copy = Recording(tmp_path / "copy")
    begin_copy(source, copy, manifest, manifest.frozen, check=False)
    before = list(copy.written)
    with pytest.raises(UsageError, match="a copy of another store"):
        begin_copy(others, copy, other, other.frozen, check=True)
    assert copy.written == before


def test_a_commit_that_its_manifest_does_not_name_is_not_copied(own_store: StoreOf, tmp_path: Path) -> None:
    manifest, source = locate_store(own_store())
    copy = LocalObjects(tmp_path / "copy")
    begin_copy(source, copy, manifest, manifest.frozen, check=False)
    source.put("commits/0.json", source.get("commits/1.json"))
    with pytest.raises(CorruptObjectError, match=r"commits/0.json .*the manifest says"):
        copy_tasks(source, copy, manifest, manifest.frozen, tasks=[0], check=False, progress=Silent())
    assert copy.sizes("commits") == {}
