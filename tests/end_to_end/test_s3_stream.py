"""A stream from a real S3 server is that from a directory, batch for batch, or an error that says what is wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore import Stream, open_stream
from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, MissingObjectError, StorageUnavailableError, StoreError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from tests.end_to_end.s3_extraction import STORE, small_fasta
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway

pytestmark = pytest.mark.s3

ProxyTo = Callable[..., FaultProxy]


class Rows(NamedTuple):
    """A batch with memory of its own."""

    values_BSD: NDArray[np.float32]
    row_B: NDArray[np.int64]
    sequence_B: NDArray[np.int64]


@pytest.fixture(scope="module", params=["float16", "int8-zstd"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of a megabyte in fifteen tasks."""
    encoding, _, compressor = request.param.partition("-")
    folder = tmp_path_factory.mktemp("stream")
    recipe = Recipe.model_validate(
        {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(small_fasta(folder / "proteins.fasta"))]},
            "splits": {"fractions": {"train": 1.0}},
            "store": {
                "encoding": encoding,
                "compressor": compressor or "none",
                "task_rows": 256,
                "chunk_rows": 32,
                "calibration_sequences": 8,
            },
        }
    )
    extract_with(FakeModel(sites=["embed", "final_norm"], width=96), LocalObjects(folder / "store"), recipe)
    return folder / "store"


@pytest.fixture(scope="module")
def local(store: Path) -> list[Rows]:
    """Every batch of two epochs from the directory."""
    with stream_of(store) as stream:
        return [*batches(stream), *batches(stream)]


@pytest.fixture(scope="module")
def remote(store: Path, gateway: Gateway) -> str:
    """The same store in a bucket, put there by s3fs alone."""
    bucket, client = gateway.new_bucket(), gateway.client()
    for path in LocalObjects(store).sizes():
        client.pipe_file(f"{bucket}/{STORE}/{path}", (store / path).read_bytes())
    return f"s3://{bucket}/{STORE}"


def stream_of(place: Any, options: dict[str, Any] | None = None) -> Stream:
    """Open a stream with a dozen fills an epoch."""
    return open_stream(place, batch_rows=100, buffer_bytes=250_000, seed=3, storage_options=options)


def batches(stream: Stream) -> Iterator[Rows]:
    for batch in stream:
        yield Rows(*(np.array(part) for part in (batch.values_BSD, batch.row_B, batch.sequence_B)))


def same(one: Rows, other: Rows) -> bool:
    values = np.array_equal(one.values_BSD, other.values_BSD)
    return values and np.array_equal(one.row_B, other.row_B) and np.array_equal(one.sequence_B, other.sequence_B)


def through(proxy: FaultProxy, gateway: Gateway, **options: Any) -> dict[str, Any]:
    return gateway.storage_options | {"endpoint_url": proxy.url} | options


FAULTS = {
    "none": Faults(),
    "reset at random bytes": Faults(cut_after=120_000),
    "closed at random bytes": Faults(cut_after=120_000, reset=False),
    "requests cut": Faults(cut_after=4_000, direction="up"),
    "busy": Faults(busy_probability=0.1),
    "throttled and far away": Faults(latency_s=0.005, jitter_s=0.005, rate=2_000_000),
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_two_epochs_are_the_same_over_bad_connections(
    faults: Faults, remote: str, gateway: Gateway, proxy_to: ProxyTo, local: list[Rows]
) -> None:
    proxy = proxy_to(gateway, faults, seed=8)
    with stream_of(remote, through(proxy, gateway)) as stream:
        assert stream.report().path == "buffered"
        found = [*batches(stream), *batches(stream)]
    assert len(found) == len(local)
    assert all(map(same, found, local))
    if faults.cut_after or faults.busy_probability:
        assert proxy.statistics.cut + proxy.statistics.busy >= 5


def test_connections_that_fall_silent_are_given_up_and_read_again(
    remote: str, gateway: Gateway, proxy_to: ProxyTo, local: list[Rows]
) -> None:
    proxy = proxy_to(gateway)
    with stream_of(remote, through(proxy, gateway, read_timeout=1, connect_timeout=1)) as stream:
        found = []
        for index, batch in enumerate(batches(stream)):
            if index in {0, len(local) // 4}:
                proxy.faults = Faults(silent=True)
                threading.Timer(1.5, setattr, (proxy, "faults", Faults())).start()
            found.append(batch)
    assert all(map(same, found, local))
    assert len(found) == len(local) // 2


def test_the_gateway_may_be_killed_in_the_middle(
    remote: str, gateway: Gateway, proxy_to: ProxyTo, local: list[Rows]
) -> None:
    proxy = proxy_to(gateway)
    with stream_of(remote, through(proxy, gateway)) as stream:
        found = []
        for index, batch in enumerate(batches(stream)):
            if index == 3:
                gateway.crash("rgw")
                threading.Timer(0.5, gateway.restart).start()
            found.append(batch)
    assert all(map(same, found, local))
    assert len(found) == len(local) // 2


DAMAGE: dict[str, tuple[Callable[[bytes], bytes | None], type[StoreError], str]] = {
    "missing": (lambda _: None, MissingObjectError, "is missing"),
    "empty": (lambda _: b"", CorruptObjectError, "ends .* bytes too early|damaged"),
    "truncated": (lambda data: data[: len(data) // 3], CorruptObjectError, "ends .* bytes too early|damaged"),
    "flipped": (lambda data: bytes([data[0] ^ 1]) + data[1:], CorruptObjectError, "checksum"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("damaged", ["sites/final_norm/values/c/9/0", "rows/sequence/c/9", "commits/9.json"])
def test_damage_is_an_error_that_names_the_object_and_no_batch_is_skipped(
    damage: tuple[Callable[[bytes], bytes | None], type[StoreError], str],
    damaged: str,
    store: Path,
    remote: str,
    gateway: Gateway,
    local: list[Rows],
) -> None:
    spoil, error, says = damage
    objects = open_objects(remote, gateway.storage_options)
    sound = objects.get(damaged)
    spoiled = spoil(sound)
    objects.delete(damaged)
    if spoiled is not None:
        objects.put(damaged, spoiled)
        says = "sha256" if damaged.startswith("commits") else says
    found: list[Rows] = []
    try:
        with stream_of(remote, gateway.storage_options) as stream, pytest.raises(error, match=says) as caught:
            found.extend(batches(stream))
    finally:
        objects.put(damaged, sound)
    assert damaged in str(caught.value)
    assert remote in str(caught.value)
    assert len(found) < len(local) // 2
    assert all(map(same, found, local))


def test_storage_that_is_gone_for_good_is_an_error_in_bounded_time(
    remote: str, gateway: Gateway, proxy_to: ProxyTo, local: list[Rows]
) -> None:
    proxy = proxy_to(gateway)
    found = []
    with stream_of(remote, through(proxy, gateway, attempts=3)) as stream:
        stream_batches = batches(stream)
        found.append(next(stream_batches))
        proxy.refuse()
        began = time.monotonic()
        with pytest.raises(StorageUnavailableError, match=r"Could not connect.*given up after 3 attempts"):
            found.extend(stream_batches)
        assert time.monotonic() - began < 30
    assert len(found) < len(local) // 2
    assert all(map(same, found, local))
