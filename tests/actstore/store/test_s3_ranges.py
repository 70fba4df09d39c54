"""Ranges by signed URLs are those that the ordinary way gives, and no signature gets out."""

import logging
import random
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from actstore.errors import MissingObjectError, StorageUnavailableError, StoreError
from actstore.store import s3_ranges as module
from actstore.store.objects import open_objects
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
    url, _ = ranges._signed._urls[f"{ranges._prefix}a"]
    forged = re.sub(r"Signature=\w", "Signature=~", url)

    async def forge(_: object) -> str:
        return forged

    monkeypatch.setattr(ranges._signed, "_url", forge)
    for _ in range(6):
        assert objects.get_range("a", 1, 3) == b"23"
    assert signed(gets(gateway, bucket)) == [True, *([True, False] * 3), *([False] * 3)]


def test_a_url_is_signed_again_before_it_expires(
    gateway: Gateway, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = open_objects(f"s3://{bucket}/store", gateway.storage_options)
    objects.put("a", b"12345")
    now_s = time.monotonic()
    for later_s in (0.0, 1700.0, 1900.0):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=partial(float, now_s + later_s)))
        monkeypatch.setattr(module, "_EXPIRES_S", 3600 + int(later_s))  # another text
        assert objects.get_range("a", 0, 5) == b"12345"
    expires = [re.search(r"X-Amz-Expires=(\d+)", one.target) for one in gets(gateway, bucket)]
    assert [one and one[1] for one in expires] == ["3600", "3600", "5500"]


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
