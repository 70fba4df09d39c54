"""Extraction to a real S3 server, whatever happens on the way, is that to a directory byte for byte."""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self

import pytest
from botocore.exceptions import BotoCoreError

from actstore.access.open import LocalObjects
from actstore.workflows.care.verify import verify_store
from tests.end_to_end.s3_extraction import STORE, extract, small_fasta
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway, Request

pytestmark = pytest.mark.s3

ProxyTo = Callable[..., FaultProxy]
COMMIT = re.compile(rf"{STORE}/commits/(\d+)\.json")
TWICE = {f"{STORE}/sequences.parquet", f"{STORE}/manifest.json"}
"""Put by every extractor, with the same bytes; everything else is created once."""


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_fasta(tmp_path_factory.mktemp("proteins") / "proteins.fasta")


@pytest.fixture(scope="module")
def local(fasta: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every object of the store that is extracted to a directory, by its key in a bucket."""
    place = tmp_path_factory.mktemp("local") / "store"
    extract(str(place), fasta)
    objects = LocalObjects(place)
    return {f"{STORE}/{path}": objects.get(path) for path in objects.sizes()}


def check(gateway: Gateway, bucket: str, local: dict[str, bytes]) -> None:
    """Check that a store is complete and equal to the local one, and that nothing else is there."""
    there = gateway.objects(bucket)
    assert there.keys() == local.keys()
    assert [key for key, data in there.items() if data != local[key]] == []
    assert gateway.uploads(bucket) == []
    report = verify_store(f"s3://{bucket}/{STORE}", recompute=False, storage_options=gateway.storage_options)
    assert report.ok, report.faults


def check_order(requests: list[Request], local: dict[str, bytes]) -> None:
    """Check that everything was created once, and every commit after all that it names."""
    written: Counter[str] = Counter()
    for request in requests:
        if request.method != "PUT" or request.status != 200:
            continue
        _, _, key = request.target[1:].partition("/")
        if COMMIT.fullmatch(key):
            named = json.loads(local[key])["objects"]
            missing = [path for path in named if not written[f"{STORE}/{path}"]]
            assert not missing, f"{key} was there before {missing}"
        written[key] += 1
    assert written.keys() == local.keys()
    assert [key for key, times in written.items() if times > 1 and key not in TWICE] == []


class Watcher:
    """Looks at a bucket all the time: whatever is committed must be there as a whole."""

    def __init__(self, gateway: Gateway, bucket: str, local: dict[str, bytes]) -> None:
        self.looks = 0
        self.torn: list[str] = []
        self._gateway = gateway
        self._bucket = bucket
        self._local = local
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self.looks > 0  # few while the gateway is down: the client waits for it
        assert not self.torn

    def _watch(self) -> None:
        client = self._gateway.client()
        while not self._over.wait(0.01):
            try:
                listed = client.find(
                    f"{self._bucket}/{STORE}/commits"
                )  # gives the folder itself, should it just appear
                committed = {key for name in listed if COMMIT.fullmatch(key := name.partition("/")[2])}
                there = {
                    name.partition("/")[2]: entry["size"]
                    for name, entry in client.find(f"{self._bucket}/{STORE}", detail=True).items()
                }
            except (OSError, BotoCoreError):  # the gateway is down
                continue
            self.looks += 1
            for commit in committed:
                named = json.loads(self._local[commit])["objects"]
                self.torn += [path for path in named if there.get(f"{STORE}/{path}") != named[path]["size"]]


FAULTS = {
    "answers reset at random bytes": Faults(cut_after=10_000, cut_probability=0.5, direction="down"),
    "requests reset at random bytes": Faults(cut_after=150_000, direction="up"),
    "both ways closed at random bytes": Faults(cut_after=300_000, direction="both", reset=False),
    "a tenth of requests answered 503": Faults(busy_probability=0.1),
    "slow and far away": Faults(latency_s=0.01, jitter_s=0.01, rate=1_500_000, direction="both"),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_over_bad_connections(
    faults: Faults, gateway: Gateway, bucket: str, proxy_to: ProxyTo, fasta: Path, local: dict[str, bytes]
) -> None:
    proxy = proxy_to(gateway, faults, seed=5)
    extract(f"s3://{bucket}/{STORE}", fasta, gateway.storage_options | {"endpoint_url": proxy.url})
    check(gateway, bucket, local)
    check_order(gateway.requests(bucket), local)
    if faults.cut_after or faults.busy_probability:
        assert proxy.statistics.cut + proxy.statistics.busy >= 1


def test_with_the_gateway_killed_and_started_again_in_the_middle(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, fasta: Path, local: dict[str, bytes]
) -> None:
    proxy = proxy_to(gateway)
    options = gateway.storage_options | {"endpoint_url": proxy.url}
    with ThreadPoolExecutor(1) as pool, Watcher(gateway, bucket, local):
        extracting = pool.submit(extract, f"s3://{bucket}/{STORE}", fasta, options)
        for requests in (7, 30, 60, 100):
            when_asked(proxy, requests, extracting.done)
            gateway.crash("rgw")
            gateway.restart()
        extracting.result()
    check(gateway, bucket, local)


@pytest.mark.slow
def test_with_the_whole_storage_killed_and_started_again_in_the_middle(
    durable_gateway: Gateway, proxy_to: ProxyTo, fasta: Path, local: dict[str, bytes]
) -> None:
    bucket = durable_gateway.new_bucket()
    proxy = proxy_to(durable_gateway)
    options = durable_gateway.storage_options | {"endpoint_url": proxy.url}
    with ThreadPoolExecutor(1) as pool, Watcher(durable_gateway, bucket, local):
        extracting = pool.submit(extract, f"s3://{bucket}/{STORE}", fasta, options)
        for requests in (20, 80):
            when_asked(proxy, requests, extracting.done)
            durable_gateway.crash("all")
            durable_gateway.restart()
        extracting.result()
    check(durable_gateway, bucket, local)


def when_asked(proxy: FaultProxy, requests: int, done: Callable[[], bool]) -> None:
    """Wait until a number of requests were made."""
    moment = threading.Event()
    while proxy.statistics.requests < requests:
        assert not done(), "the extraction was over before it could be disturbed"
        moment.wait(0.002)


def test_by_two_processes_at_once(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, fasta: Path, local: dict[str, bytes]
) -> None:
    proxy = proxy_to(gateway, Faults(cut_after=1_000_000, direction="both", latency_s=0.001), seed=6)
    options = json.dumps(gateway.storage_options | {"endpoint_url": proxy.url})
    command = [sys.executable, "-m", "tests.end_to_end.s3_extraction", f"s3://{bucket}/{STORE}", str(fasta), options]
    root = Path(__file__).parents[2]
    extractors = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)
    ]
    for extractor in extractors:
        assert extractor.stdout is not None
        assert extractor.stdout.readline() == "ready\n"
    with Watcher(gateway, bucket, local):
        left = [int(extractor.communicate()[0]) for extractor in together(extractors)]
    assert [extractor.returncode for extractor in extractors] == [0, 0]
    check(gateway, bucket, local)
    requests = gateway.requests(bucket)
    check_order(requests, local)
    tasks = sum(COMMIT.fullmatch(key) is not None for key in local)
    assert max(left) == tasks
    assert sum(request.status == 412 for request in requests) > 10, "they did not do the same tasks"


def together(extractors: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    """Tell all to begin before any is waited for."""
    for extractor in extractors:
        assert extractor.stdin is not None
        extractor.stdin.write("go\n")
        extractor.stdin.flush()
    return extractors


def has_ended(process: subprocess.Popen[str]) -> bool:
    return process.poll() is not None


@pytest.mark.slow
def test_with_the_extractor_killed_five_times(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, fasta: Path, local: dict[str, bytes]
) -> None:
    """SIGKILL after a number of requests; what was committed is not written again, and the end is the same."""
    proxy = proxy_to(gateway)
    options = json.dumps(gateway.storage_options | {"endpoint_url": proxy.url})
    command = [sys.executable, "-m", "tests.end_to_end.s3_extraction", f"s3://{bucket}/{STORE}", str(fasta), options]
    done: set[str] = set()
    for requests in (6, 25, 25, 25, 40, None):
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as extractor:
            assert extractor.stdout is not None
            assert extractor.stdout.readline() == "ready\n"
            before = proxy.statistics.requests
            together([extractor])
            if requests is None:
                extractor.communicate()
            else:
                when_asked(proxy, before + requests, partial(has_ended, extractor))
                extractor.kill()
        now = {key for key in gateway.objects(bucket) if COMMIT.fullmatch(key)}
        assert done <= now
        done = now
    assert extractor.returncode == 0
    check(gateway, bucket, local)
