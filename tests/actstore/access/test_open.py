"""From a path or URL to an object store."""

from pathlib import Path
from uuid import uuid4

import pytest

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


@pytest.mark.parametrize(
    "uri", ["http://host/store", "https://host/store", "HTTPS://host/store", "simplecache::https://host/store"]
)
def test_a_web_server_is_no_place_for_a_store(uri: str) -> None:
    with pytest.raises(UsageError, match="download it, or use s3://, gs:// or hf://"):
        open_objects(uri)


def test_credentials_in_the_url_of_a_web_server_are_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        open_objects("https://me:hush@host/store")
    assert "hush" not in str(caught.value)
