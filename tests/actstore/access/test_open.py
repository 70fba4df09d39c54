"""From a path or URL to an object store."""

from pathlib import Path
from uuid import uuid4

import pytest

from actstore.access.hf import HfObjects
from actstore.access.http import HttpObjects
from actstore.access.open import FsspecObjects, LocalObjects, open_objects
from actstore.errors import StoreError, UsageError


def test_paths_and_urls_open_the_right_implementation(tmp_path: Path) -> None:
    assert isinstance(open_objects(tmp_path / "store"), LocalObjects)
    assert isinstance(open_objects(f"file://{tmp_path}/store"), LocalObjects)
    assert isinstance(open_objects("memory://somewhere/store"), FsspecObjects)


def test_a_path_may_hold_what_chains_urls(tmp_path: Path) -> None:
    for name in ("run::2", "s3::run", "memory::run"):
        objects = open_objects(tmp_path / name / "store")
        objects.put("a", b"here")
        assert (tmp_path / name / "store" / "a").read_bytes() == b"here"
        assert open_objects(objects.uri).get("a") == b"here"


def test_opening_neither_reads_nor_creates(tmp_path: Path) -> None:
    open_objects(tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_relative_path_is_resolved_when_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = open_objects("store")
    monkeypatch.chdir("/")
    objects.put("a", b"here")
    assert objects.uri == str(tmp_path / "store")
    assert (tmp_path / "store" / "a").read_bytes() == b"here"


def test_a_url_opens_the_same_objects_again() -> None:
    objects = open_objects(f"memory://{uuid4().hex}/store")
    objects.put("a/b", b"x")
    assert open_objects(objects.uri).get("a/b") == b"x"


@pytest.mark.parametrize("uri", ["nosuch://bucket/store", "gopher+s3://x"])
def test_an_unknown_protocol_is_a_store_error(uri: str) -> None:
    with pytest.raises(StoreError, match=f"{uri}: cannot be opened".replace("+", r"\+")):
        open_objects(uri)


def test_a_web_server_is_a_place_to_read_from() -> None:
    objects = open_objects("HTTPS://host/store/")
    assert isinstance(objects, HttpObjects)
    assert objects.uri == "https://host/store"


@pytest.mark.parametrize("uri", ["simplecache::https://host/store", "https://host/store?v=1", "http://host/#store"])
def test_a_store_on_a_web_server_has_a_plain_url(uri: str) -> None:
    with pytest.raises(UsageError, match="a store on a web server is given by a plain URL"):
        open_objects(uri)


def test_a_web_server_takes_no_options_of_others() -> None:
    with pytest.raises(StoreError, match="storage option anon: a web server takes connect_timeout, headers, read_"):
        open_objects("https://host/store", {"anon": "true"})
    with pytest.raises(UsageError, match="storage option read_timeout = 'soon': not a finite number"):
        open_objects("https://host/store", {"read_timeout": "soon"})


def test_a_repository_of_the_hub_is_read_and_a_bucket_written() -> None:
    assert isinstance(open_objects("hf://datasets/user/name"), HfObjects)
    assert not isinstance(open_objects("hf://buckets/user/name"), HfObjects)


def test_credentials_in_the_url_of_a_web_server_are_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        open_objects("https://me:hush@host/store")
    assert "hush" not in str(caught.value)
