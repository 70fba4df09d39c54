from collections.abc import Callable
from pathlib import Path

import pytest

from actstore import export_manifest
from actstore.errors import ManifestError
from actstore.store.read.manifest_files import is_manifest_url, read_manifest_file, read_manifest_url
from tests.services.web import WebServer

StoreOf = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("https://host/a.json", True),
        ("s3://bucket/a.json", True),
        ("a.json", False),
        ("https://host/store", False),
        ("folder/a.json/store", False),
    ],
)
def test_a_url_that_ends_in_json_is_that_of_a_manifest(name: str, is_one: bool) -> None:
    assert is_manifest_url(name) is is_one


def test_relative_places_count_from_the_folder_of_the_file(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    export_manifest(store, tmp_path / "shared.json", uri="./own", places=["copies/own", "s3://bucket/own", "/data/own"])
    manifest = read_manifest_file(tmp_path / "shared.json")
    assert manifest.uri == str(store)
    assert manifest.places == (f"{tmp_path}/copies/own", "s3://bucket/own", "/data/own")


def test_at_a_url_they_count_from_its_folder(own_store: StoreOf, tmp_path: Path) -> None:
    export_manifest(own_store(), tmp_path / "shared.json", uri="./own")
    with WebServer(tmp_path) as web:
        assert read_manifest_url(f"{web.url}/shared.json").uri == f"{web.url}/own"
        assert read_manifest_url(f"{web.url}/own/manifest.json").uri == f"{web.url}/own"
        with pytest.raises(ManifestError, match=r"nothing.json: no such file"):
            read_manifest_url(f"{web.url}/nothing.json")


def test_what_cannot_be_read_or_is_no_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nothing.json: cannot be read: No such file"):
        read_manifest_file(tmp_path / "nothing.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ManifestError, match=r"list.json: "):
        read_manifest_file(tmp_path / "list.json")
