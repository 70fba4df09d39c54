"""Ranges by signed URLs are those that the ordinary way gives, and no signature gets out."""

import asyncio
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actstore.access import s3_ranges as module
from actstore.access.open import open_objects
from actstore.access.s3_ranges import SignedRanges
from actstore.errors import MissingObjectError, StorageUnavailableError, StoreError
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway, Request

pytestmark = pytest.mark.s3

ProxyTo = Callable[..., FaultProxy]
NAMES = ("plain", "a b+c/ü?x=1&y", "deep/er/0")


def gets(gateway: Gateway, bucket: str) -> list[Request]:
    return [one for one in gateway.requests(bucket) if one.method == "GET" and "list-type" not in one.target]


def signed(requests: list[Request]) -> list[bool]:
    return ["X-Amz-Signature=" in one.target for one in requests]


@pytest.mark.parametrize("name", NAMES)
def test_any_range_of_any_object_is_read_with_one_signed_request(gateway: Gateway, bucket: str, name: str) -> None:
    objects = open_objects(f"s3://{bucket}/store", gateway.storage_options)
    data = random.Random(1).randbytes(300_000)
    objects.put(name, data)
    for start, stop in [(0, 1), (5, 100_000), (299_990, 300_000), (299_990, 400_000)]:
        assert objects.get_range(name, start, stop) == data[start:stop]
    assert signed(gets(gateway, bucket)) == [True] * 4


def test_what_is_not_there_is_said_in_the_usual_words(gateway: Gateway, bucket: str) -> None:
    objects = open_objects(f"s3://{bucket}/store", gateway.storage_options)
    objects.put("a", b"12345")
    for _ in range(5):
        assert objects.get_range("a", 5, 9) == b""
        with pytest.raises(MissingObjectError, match="object b is missing"):
            objects.get_range("b", 0, 3)
    assert objects.get_range("a", 1, 3) == b"23"
    assert signed(gets(gateway, bucket))[-1], "neither means that the server does not take signed URLs"


def test_a_server_that_takes_no_signed_urls_is_soon_asked_the_ordinary_way(
    gateway: Gateway, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EXPIRES_S", 1)
    objects = open_objects(f"s3://{bucket}/store", gateway.storage_options)
    objects.put("a", b"12345")
    assert objects.get_range("a", 0, 5) == b"12345"
    ranges: Any = objects
    url = ranges._signed._urls[f"{ranges._prefix}a"].url
    forged = re.sub(r"Signature=\w", "Signature=~", url)

    async def forge(_: object) -> tuple[str, bool]:
        return forged, True

    monkeypatch.setattr(ranges._signed, "_url", forge)
    for _ in range(6):
        assert objects.get_range("a", 1, 3) == b"23"
    assert signed(gets(gateway, bucket)) == [True, *([True, False] * 3), *([False] * 3)]


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_a_url_is_signed_again_before_it_expires(
    gateway: Gateway, bucket: str, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """By either clock: one stands still while a computer sleeps, the other may be set."""
    objects = open_objects(f"s3://{bucket}/store", gateway.storage_options)
    objects.put("a", b"12345")
    now_s = {"monotonic": time.monotonic(), "time": time.time()}
    for later_s in (0.0, 1700.0, 1900.0):
        clocks = {name: partial(float, at_s + later_s * (name == clock)) for name, at_s in now_s.items()}
        monkeypatch.setattr(module, "time", SimpleNamespace(**clocks))
        monkeypatch.setattr(module, "_EXPIRES_S", 3600 + int(later_s))  # another text
        assert objects.get_range("a", 0, 5) == b"12345"
    expires = [re.search(r"X-Amz-Expires=(\d+)", one.target) for one in gets(gateway, bucket)]
    assert [one and one[1] for one in expires] == ["3600", "3600", "5500"]


class Session:
    """Answers signed requests with the status that a test says."""

    def __init__(self) -> None:
        self.status = 403
        self.sent = 0
        self.together = 1
        """Answers come when this many requests are waiting."""
        self._waiting: list[asyncio.Event] = []

    @property
    def ranges(self) -> SignedRanges:
        """Ranges over this session alone, without a server."""
        client = SimpleNamespace(
            meta=SimpleNamespace(events=SimpleNamespace(register_first=lambda *_, **__: None)),
            generate_presigned_url=self._sign,
            _endpoint=SimpleNamespace(http_session=self),
        )
        plain = SimpleNamespace(anon=False, req_kw={}, s3_additional_kwargs={}, s3=client)
        return SignedRanges(cast("Any", plain), "bucket")

    async def send(self, _: object) -> Any:
        self.sent += 1
        self._waiting.append(may_answer := asyncio.Event())
        if len(self._waiting) >= self.together:
            while self._waiting:
                self._waiting.pop().set()
        await may_answer.wait()
        content = SimpleNamespace(iter_any=self._body)
        raw = SimpleNamespace(close=lambda: None, content=content)
        return SimpleNamespace(status_code=self.status, headers={"Content-Length": "4"}, raw=raw)

    async def _sign(self, _: object, *, Params: dict[str, str], ExpiresIn: int) -> str:
        return f"http://host/{Params['Key']}?X-Amz-Expires={ExpiresIn}"

    async def _body(self) -> AsyncIterator[bytes]:
        yield b"1234"


def fetch(ranges: SignedRanges, *keys: str) -> list[int | None]:
    """Ask for four bytes of each object at the same time."""

    async def all_of_them() -> list[int | None]:
        return await asyncio.gather(*(ranges.fetch(key, 0, memoryview(bytearray(4))) for key in keys))

    return asyncio.run(all_of_them())


def test_refusals_that_come_together_end_the_asking_too() -> None:
    session = Session()
    session.together = 8
    ranges = session.ranges
    assert fetch(ranges, *"abcdefgh") == [None] * 8
    assert session.sent == 8
    assert fetch(ranges, *"abcdefgh") == [None] * 8
    assert session.sent == 8, "this server does not take signed URLs, and is not asked once more"


def test_urls_whose_credentials_are_gone_are_signed_anew() -> None:
    """Credentials that were replaced, or a computer that slept: all URLs are refused at once, and new ones are good."""
    session = Session()
    ranges = session.ranges
    session.status = 206
    assert fetch(ranges, *"abcde") == [4] * 5
    session.status, session.together = 403, 3
    assert fetch(ranges, *"abc") == [None] * 3
    session.status, session.together = 206, 1
    assert fetch(ranges, *"abcde") == [4] * 5
    assert session.sent == 13, "each was sent with a signature"


def test_one_refusal_is_enough_to_sign_all_urls_anew() -> None:
    session = Session()
    ranges = session.ranges
    session.status = 206
    fetch(ranges, *"abc")
    session.status = 403
    assert fetch(ranges, "a") == [None]
    assert ranges._urls == {}


@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
def test_ranges_survive_connections_that_are_cut_and_a_server_that_is_busy(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, reset: bool
) -> None:
    open_objects(f"s3://{bucket}/store", gateway.storage_options).put("a", data := random.Random(2).randbytes(400_000))
    proxy = proxy_to(gateway, Faults(cut_after=3_000_000, reset=reset, busy_probability=0.1), seed=1)
    objects = open_objects(f"s3://{bucket}/store", {**gateway.storage_options, "endpoint_url": proxy.url})
    with ThreadPoolExecutor(4) as pool:
        starts = range(0, 40_000, 1000)
        assert all(pool.map(lambda start: objects.get_range("a", start, 300_000) == data[start:300_000], starts))
    assert proxy.statistics.cut >= 2
    assert proxy.statistics.busy >= 2


def test_no_message_shows_a_signature(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="actstore")
    proxy = proxy_to(gateway)
    options = {**gateway.storage_options, "endpoint_url": proxy.url, "attempts": 2}
    objects = open_objects(f"s3://{bucket}/store", options)
    objects.put("a", b"12345")
    assert objects.get_range("a", 0, 5) == b"12345"
    proxy.refuse()
    with pytest.raises(StorageUnavailableError, match=r"object a: .*given up after 2 attempts") as caught:
        objects.get_range("a", 0, 5)
    proxy.listen()
    shown = f"{caught.getrepr(style='long')} {caplog.text}"
    assert len(caplog.records) == 1
    assert "X-Amz" not in shown
    assert "Signature" not in shown


def test_credentials_that_are_wrong_are_said_so(gateway: Gateway, bucket: str) -> None:
    objects = open_objects(f"s3://{bucket}/store", {**gateway.storage_options, "secret": "not-the-secret-key"})
    with pytest.raises(StoreError, match=r"object a cannot be read: SignatureDoesNotMatch"):
        objects.get_range("a", 0, 5)
