import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from actstore.access.http import HttpObjects, check_part
from actstore.access.open import open_objects
from actstore.errors import MissingObjectError, StorageUnavailableError, StoreError
from tests.services.web import WebServer

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    (tmp_path / "store" / "sites").mkdir(parents=True)
    (tmp_path / "store" / "a").write_bytes(CONTENT)
    (tmp_path / "store" / "empty").write_bytes(b"")
    (tmp_path / "store" / "sites" / "na#me 50%").write_bytes(b"odd")
    with WebServer(tmp_path) as web:
        yield web


@pytest.fixture
def objects(server: WebServer) -> HttpObjects:
    opened = open_objects(f"{server.url}/store", {"attempts": 2})
    assert isinstance(opened, HttpObjects)
    return opened


def test_objects_and_parts_of_them_are_read(objects: HttpObjects, server: WebServer) -> None:
    assert objects.get("a") == CONTENT
    assert objects.get("empty") == b""
    assert objects.get("sites/na#me 50%") == b"odd"
    assert objects.get_range("a", 100, 300) == CONTENT[100:300]
    assert objects.get_range("a", len(CONTENT) - 5, len(CONTENT) + 5) == CONTENT[-5:]
    assert objects.get_range("a", len(CONTENT), len(CONTENT) + 5) == b""
    assert objects.get_range("a", 5, 5) == b""
    memory = bytearray(20)
    assert objects.read_into("a", 7, memoryview(memory)) == 20
    assert bytes(memory) == CONTENT[7:27]
    with objects.open("a") as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]
    assert objects.uri == f"{server.url}/store"


def test_what_is_not_there_is_missing(objects: HttpObjects) -> None:
    for read in (objects.get, lambda path: objects.get_range(path, 0, 9), lambda path: objects.open(path).__enter__()):
        with pytest.raises(MissingObjectError, match="object nothing/here is missing"):
            read("nothing/here")


def test_a_server_that_ignores_ranges_is_left_at_once(objects: HttpObjects, server: WebServer, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "store" / "large").write_bytes(bytes(64 << 20))
    for start in (0, 4096):
        with pytest.raises(StoreError, match=r"object large .*the whole object of 67,108,864 bytes; use a server with"):
            objects.get_range("large", start, start + 4096)
    assert server.bytes_sent < 32 << 20
    assert objects.get_range("a", 0, len(CONTENT) + 1) == CONTENT, "all that was asked for"


def test_compressed_answers_are_not_taken_for_the_bytes(objects: HttpObjects, server: WebServer) -> None:
    server.encoding = "br"
    with pytest.raises(StoreError, match="object a cannot be read: the server compresses"):
        objects.get_range("a", 0, 10)
    assert {one.headers["Accept-Encoding"] for one in server.asked} == {"identity"}


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (206, {"Content-Range": "bytes 0-9/100", "Content-Length": "10"}, "another part"),
        (206, {"Content-Range": "bytes 5-99/100", "Content-Length": "95"}, "another part"),
        (206, {"Content-Length": "10"}, "another part"),
        (200, {}, "the whole object;"),
        (204, {}, "the whole object"),
    ],
)
def test_an_answer_that_is_not_the_range_is_refused(status: int, headers: dict[str, str], message: str) -> None:
    with pytest.raises(StoreError, match=message):
        check_part(status, headers, start=5, size=10)


def test_failures_that_pass_are_tried_again(objects: HttpObjects, server: WebServer) -> None:
    server.failures = deque([503])
    assert objects.get_range("a", 0, 10) == CONTENT[:10]
    server.failures = deque([503, 429])
    with pytest.raises(StorageUnavailableError, match=r"object a: 429.* given up after 2 attempts"):
        objects.get_range("a", 0, 10)


def test_redirects_are_followed_without_the_secrets_of_the_first_server(server: WebServer, tmp_path: Path) -> None:
    with WebServer(tmp_path, moved="/old", moved_to=f"{server.url.replace('127.0.0.1', 'localhost')}/store") as first:
        moved = open_objects(f"{first.url}/old", {"headers": {"Authorization": "Bearer hush-hush"}})
        assert moved.get_range("a", 3, 9) == CONTENT[3:9]
        assert "Authorization" in first.asked[0].headers
    assert server.asked
    assert not [one for one in server.asked if "Authorization" in one.headers]


def test_secrets_in_headers_are_not_shown(server: WebServer) -> None:
    objects = open_objects(f"{server.url}/store", {"headers": {"Authorization": "Bearer hush-hush"}})
    server.failures = deque([403])
    with pytest.raises(StoreError, match="403") as caught:
        objects.get("a")
    assert "hush-hush" not in str(caught.value)


def test_nothing_is_written_and_nothing_listed(objects: HttpObjects, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for act in (
        lambda: objects.put("b", b""),
        lambda: objects.put_new("b", b""),
        lambda: objects.put_file("b", tmp_path / "file"),
        lambda: objects.delete("a"),
    ):
        with pytest.raises(StoreError, match="stores are only read here"):
            act()
    for listed in (objects.sizes, objects.modified):
        with pytest.raises(StoreError, match="does not list what it has"):
            listed()


def test_without_aiohttp_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from actstore.access.open import open_objects\n"
        "try:\n    open_objects('https://host/store')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("StoreError https://host/store: cannot be opened without aiohttp")
    assert "pip install 'actstore[http]'" in done.stdout
