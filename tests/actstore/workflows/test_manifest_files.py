from collections.abc import Callable
from pathlib import Path

import pytest

from actstore import open_manifest
from actstore.access.open import LocalObjects
from actstore.errors import ManifestError
from actstore.workflows.manifest_files import (
    check_manifest_file,
    place_from_file,
    share_manifest,
    write_manifest_file,
)

StoreOf = Callable[..., Path]


def test_a_store_below_the_file_is_named_by_its_path_from_there(tmp_path: Path) -> None:
    (tmp_path / "stores/one").mkdir(parents=True)
    one = str(tmp_path / "stores/one")
    assert place_from_file(one, tmp_path / "one.json") == "./stores/one"
    assert place_from_file(one, tmp_path / "elsewhere/one.json") == one
    assert place_from_file(f"{tmp_path}/other/../stores/one", tmp_path / "elsewhere/one.json") == one
    assert place_from_file("memory:///one", tmp_path / "one.json") == "memory:///one"


def test_what_nobody_could_read_is_not_written(store_of: StoreOf, tmp_path: Path) -> None:
    manifest, objects = open_manifest(store_of()), LocalObjects(store_of())
    with pytest.raises(ManifestError, match=r"shared by http://"):
        share_manifest(manifest, objects, tmp_path / "one.json", uri="http://host/one", places=())
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_known_beforehand(store_of: StoreOf, tmp_path: Path) -> None:
    check_manifest_file(tmp_path / "new.json", replace=False)
    with pytest.raises(ManifestError, match="there is no folder"):
        check_manifest_file(tmp_path / "none/new.json", replace=False)
    document = open_manifest(store_of()).to_json(uri=None)
    write_manifest_file(tmp_path / "new.json", document, replace=False)
    with pytest.raises(ManifestError, match="exists"):
        check_manifest_file(tmp_path / "new.json", replace=False)
    write_manifest_file(tmp_path / "new.json", document, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["new.json"]
