"""A bucket of a real S3 server as an object store, over connections that fail."""

import logging
import random
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import fsspec
import pytest
from botocore.exceptions import ClientError

from actstore.access import s3 as s3_objects
from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.access.retrying import Retries
from actstore.access.s3 import S3Objects
from actstore.errors import ActstoreError, MissingObjectError, StorageUnavailableError, StoreError, UsageError
from actstore.testing.conformance_objects import OBJECT_CHECKS
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import ACCESS_KEY, SECRET_KEY, Gateway

pytestmark = pytest.mark.s3

MIB = 1 << 20
ProxyTo = Callable[..., FaultProxy]


@pytest.fixture
def store(gateway: Gateway, bucket: str) -> ObjectStore:
    return open_objects(f"s3://{bucket}/store", gateway.storage_options)


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Make fsspec forget the file systems it knows, and what the environment said when they were made."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def behind(proxy: FaultProxy, gateway: Gateway, bucket: str, **options: Any) -> ObjectStore:
    return open_objects(f"s3://{bucket}/store", {**gateway.storage_options, "endpoint_url": proxy.url, **options})


@pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms(check: Callable[[ObjectStore], None], store: ObjectStore) -> None:
    check(store)


@pytest.mark.parametrize("check", OBJECT_CHECKS, ids=lambda check: check.__name__)
def test_it_conforms_at_the_root_of_a_bucket(
    check: Callable[[ObjectStore], None], gateway: Gateway, bucket: str
) -> None:
    check(open_objects(f"s3://{bucket}", gateway.storage_options))


@pytest.mark.parametrize("way", ["down", "up", "both"])
@pytest.mark.parametrize("reset", [True, False], ids=["RST", "FIN"])
def test_objects_survive_connections_that_are_cut_at_random_bytes(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo, way: Any, reset: bool
) -> None:
    proxy = proxy_to(gateway, Faults(cut_after=600_000, direction=way, reset=reset), seed=1)
    objects = behind(proxy, gateway, bucket)
    rng = random.Random(2)
    content = {f"rows/c/{index}": rng.randbytes(rng.randrange(200_000)) for index in range(40)}
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda path: objects.put_new(path, content[path]), content))
        assert list(pool.map(objects.get, content)) == list(content.values())
        ranges = list(pool.map(lambda path: objects.get_range(path, 1000, 90_000), content))
    assert ranges == [data[1000:90_000] for data in content.values()]
    assert objects.sizes() == {path: len(data) for path, data in content.items()}
    assert gateway.objects(bucket) == {f"store/{path}": data for path, data in content.items()}
    assert proxy.statistics.cut > 5


def test_objects_survive_a_server_that_is_busy_half_the_time(gateway: Gateway, bucket: str, proxy_to: ProxyTo) -> None:
    proxy = proxy_to(gateway, Faults(busy_probability=0.5), seed=3)
    objects = behind(proxy, gateway, bucket)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda index: objects.put_new(f"commits/{index}.json", b"x" * index), range(30)))
    assert objects.sizes("commits") == {f"commits/{index}.json": index for index in range(30)}
    assert proxy.statistics.busy > 10


def test_a_create_whose_answer_was_lost_is_ours(gateway: Gateway, bucket: str, proxy_to: ProxyTo) -> None:
    """The request goes through as a whole; of the answer nothing comes back."""
    proxy = proxy_to(gateway, Faults(cut_after=1))
    objects = behind(proxy, gateway, bucket)
    created = threading.Thread(target=lambda: results.append(objects.put_new("commits/0.json", b"ours")))
    results: list[bool] = []
    created.start()
    while not gateway.objects(bucket):
        time.sleep(0.01)
    proxy.faults = Faults()
    created.join()
    assert results == [True]
    statuses = [one.status for one in gateway.requests(bucket) if one.method == "PUT"]
    assert (statuses[0], statuses[-1]) == (200, 412), "the second attempt found the object of the first"
    assert not objects.put_new("commits/0.json", b"theirs")


def test_an_upload_that_nobody_takes_is_given_up_in_time(gateway: Gateway, bucket: str, proxy_to: ProxyTo) -> None:
    proxy = proxy_to(gateway, Faults(silent=True))
    objects = behind(proxy, gateway, bucket, read_timeout=1, connect_timeout=1, attempts=2)
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError, match=r"object rows/c/0: .*; given up after 2 attempts"):
        objects.put("rows/c/0", b"x" * (20 * MIB))
    assert time.monotonic() - began < 30


def test_a_server_that_accepts_and_is_silent_is_given_up_in_time(
    gateway: Gateway, bucket: str, proxy_to: ProxyTo
) -> None:
    proxy = proxy_to(gateway, Faults(silent=True))
    objects = behind(proxy, gateway, bucket, read_timeout=1, connect_timeout=1, attempts=2)
    began = time.monotonic()
    for read in (objects.get, lambda path: objects.get_range(path, 0, 10), lambda _: objects.sizes()):
        with pytest.raises(StorageUnavailableError, match=r"given up after 2 attempts"):
            read("rows/c/0")
    assert time.monotonic() - began < 60


def test_a_server_that_is_down_for_a_while_is_waited_for(gateway: Gateway, bucket: str, proxy_to: ProxyTo) -> None:
    proxy = proxy_to(gateway)
    objects = behind(proxy, gateway, bucket)
    objects.put("rows/c/0", b"before")
    proxy.refuse()
    threading.Timer(2.0, proxy.listen).start()
    assert objects.get("rows/c/0") == b"before"


def test_a_server_that_is_not_there_is_named_with_attempts(bucket: str, gateway: Gateway) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        objects = open_objects(
            f"s3://{bucket}/store", {**gateway.storage_options, "endpoint_url": nobody, "attempts": "3"}
        )
        with pytest.raises(StorageUnavailableError) as caught:
            objects.get("recipe.json")
    message = str(caught.value)
    assert f"s3://{bucket}/store: object recipe.json: Could not connect" in message
    assert "given up after 3 attempts" in message


def test_a_host_that_does_not_exist_is_told_at_once(bucket: str, gateway: Gateway) -> None:
    wrong = {**gateway.storage_options, "endpoint_url": "http://no-such-host.invalid"}
    with pytest.raises(StoreError, match=r"object recipe.json cannot be read: Could not connect"):
        open_objects(f"s3://{bucket}/store", wrong).get("recipe.json")


class TestWhatTheServerRefuses:
    """Told at once, with the code of the server, since most servers send no words."""

    def test_a_bucket_that_is_not_there(self, gateway: Gateway) -> None:
        objects = open_objects("s3://no-such-bucket/store", gateway.storage_options)
        acts: tuple[Callable[[], object], ...] = (
            lambda: objects.put_new("recipe.json", b"x"),
            lambda: objects.get("recipe.json"),
            lambda: objects.get_range("recipe.json", 0, 5),
            objects.sizes,
        )
        for act in acts:
            with pytest.raises(
                StoreError, match=r"bucket no-such-bucket does not exist; create it, or check"
            ) as caught:
                act()
            assert not isinstance(caught.value, MissingObjectError)

    def test_a_name_that_no_bucket_has(self, gateway: Gateway) -> None:
        with pytest.raises(StoreError, match="Invalid bucket name"):
            open_objects("s3://No_Bucket!/store", gateway.storage_options).put("a", b"x")

    def test_credentials_that_are_wrong(self, gateway: Gateway, bucket: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, logger="actstore")
        wrong = {**gateway.storage_options, "secret": "not-the-secret-key"}
        objects = open_objects(f"s3://{bucket}/store", wrong)
        with pytest.raises(StoreError, match=r"object recipe\.json cannot be read: SignatureDoesNotMatch"):
            objects.get("recipe.json")
        assert not caplog.records, "not tried again"

    def test_options_that_nobody_knows(self, gateway: Gateway, bucket: str) -> None:
        with pytest.raises(StoreError, match=r"cannot be opened: .*colour"):
            open_objects(f"s3://{bucket}/store", {**gateway.storage_options, "colour": "blue"})

    def test_an_endpoint_that_is_no_url(self, bucket: str) -> None:
        with pytest.raises(UsageError, match="storage option endpoint_url: not a URL that begins with http"):
            open_objects(f"s3://{bucket}/store", {"endpoint_url": "localhost", "key": "k", "secret": "s"})


class TestSinglePuts:
    def test_a_large_object_is_created_with_one_request(
        self, gateway: Gateway, bucket: str, store: ObjectStore
    ) -> None:
        data = random.Random(7).randbytes(MIB) * 101  # beyond where s3fs begins to upload in parts
        assert store.put_new("sites/embed/values/c/0/0", data)
        assert not store.put_new("sites/embed/values/c/0/0", b"other")
        store.put("sites/embed/values/c/0/1", data)
        assert store.get("sites/embed/values/c/0/0") == data
        writes = [one for one in gateway.requests(bucket) if one.method in {"PUT", "POST"}]
        assert {(one.method, "?" in one.target) for one in writes} == {("PUT", False)}

    def test_what_is_larger_than_s3_takes_is_refused_with_the_way_out(
        self, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_objects, "_LARGEST_PUT_BYTES", 1000)
        for write in (store.put, store.put_new):
            with pytest.raises(StoreError, match=r"has 1,001 bytes; .* make tasks smaller with store\.task_rows"):
                write("sites/embed/values/c/0/0", b"x" * 1001)
        assert store.sizes() == {}


class TestUploadsInParts:
    @pytest.fixture
    def local(self, tmp_path: Path) -> Path:
        path = tmp_path / "sequences.parquet"
        path.write_bytes(random.Random(8).randbytes(12 * MIB))
        return path

    def objects(self, gateway: Gateway, bucket: str, url: str | None = None) -> S3Objects:
        """Upload files in parts as small as S3 allows."""
        opened = open_objects(f"s3://{bucket}/store", {**gateway.storage_options, "endpoint_url": url or gateway.url})
        assert isinstance(opened, S3Objects)
        return S3Objects(opened._fs, opened._root, retries=Retries(first_wait_s=0.01), part_bytes=5 * MIB)

    def test_a_large_file_arrives_whole_and_replaces(self, gateway: Gateway, bucket: str, local: Path) -> None:
        objects = self.objects(gateway, bucket)
        objects.put("sequences.parquet", b"what was there")
        objects.put_file("sequences.parquet", local)
        assert objects.get("sequences.parquet") == local.read_bytes()
        assert gateway.uploads(bucket) == []

    @pytest.mark.parametrize("way", ["down", "up"])
    def test_only_the_part_that_was_cut_is_sent_again(
        self, gateway: Gateway, bucket: str, local: Path, proxy_to: ProxyTo, way: Any
    ) -> None:
        most = 8 * MIB if way == "up" else 3000
        proxy = proxy_to(gateway, Faults(cut_after=most, direction=way), seed=4)
        self.objects(gateway, bucket, proxy.url).put_file("sequences.parquet", local)
        assert gateway.objects(bucket)["store/sequences.parquet"] == local.read_bytes()
        assert gateway.uploads(bucket) == []
        assert proxy.statistics.cut

    def test_one_that_fails_for_good_leaves_nothing(
        self, gateway: Gateway, bucket: str, local: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = self.objects(gateway, bucket)
        once = objects._once

        def refusing(method: str, **arguments: Any) -> Any:
            if arguments.get("PartNumber") == 2:
                raise PermissionError("no more")
            return once(method, **arguments)

        monkeypatch.setattr(objects, "_once", refusing)
        with pytest.raises(StoreError, match=r"object sequences\.parquet cannot be sent: no more"):
            objects.put_file("sequences.parquet", local)
        assert gateway.uploads(bucket) == []
        assert gateway.objects(bucket) == {}

    @pytest.mark.parametrize("error", [ConnectionResetError("cut"), KeyboardInterrupt()], ids=repr)
    def test_one_that_fails_is_removed_with_one_attempt(
        self, gateway: Gateway, bucket: str, local: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        objects = self.objects(gateway, bucket)
        once = objects._once
        removals: list[str] = []

        def failing(method: str, **arguments: Any) -> Any:
            if method == "upload_part":
                raise error
            if method == "abort_multipart_upload":
                removals.append(arguments["Key"])
                raise ConnectionResetError("cut again")
            return once(method, **arguments)

        monkeypatch.setattr(objects, "_once", failing)
        with pytest.raises((StorageUnavailableError, KeyboardInterrupt)):
            objects.put_file("sequences.parquet", local)
        assert removals == ["store/sequences.parquet"]

    def test_a_bucket_that_is_gone_is_not_taken_for_another_writer(self, gateway: Gateway, local: Path) -> None:
        with pytest.raises(StoreError, match=r"bucket no-such-bucket does not exist") as caught:
            self.objects(gateway, "no-such-bucket").put_file("sequences.parquet", local)
        assert not isinstance(caught.value, MissingObjectError)

    def test_nor_one_that_goes_between_two_parts(
        self, gateway: Gateway, bucket: str, local: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        objects = self.objects(gateway, bucket)
        once = objects._once
        begun = 0

        def going(method: str, **arguments: Any) -> Any:
            nonlocal begun
            begun += method == "create_multipart_upload"
            if method == "upload_part":
                parsed = {"Error": {"Code": "NoSuchBucket"}, "ResponseMetadata": {"HTTPStatusCode": 404}}
                raise FileNotFoundError from ClientError(parsed, method)
            return once(method, **arguments)

        monkeypatch.setattr(objects, "_once", going)
        with pytest.raises(StoreError, match=r"does not exist; create it"):
            objects.put_file("sequences.parquet", local)
        assert begun == 1

    def test_what_a_killed_writer_left_goes_with_the_next_upload_or_sweep(
        self, gateway: Gateway, bucket: str, local: Path
    ) -> None:
        client = gateway.client()
        others = ["store/other.parquet", "store/sequences.parquet.bak", "store2/sequences.parquet"]
        for key in ("store/sequences.parquet", *others):
            begun = client.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
            client.call_s3(
                "upload_part", Bucket=bucket, Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=b"x" * 5 * MIB
            )
        objects = self.objects(gateway, bucket)
        objects.sweep(large=["sequences.parquet"])
        assert len(gateway.uploads(bucket)) == 4, "nobody has finished them yet: their writers may be at work"
        objects.put_file("sequences.parquet", local)
        assert sorted(gateway.uploads(bucket)) == others
        for there in ("other.parquet", "sequences.parquet.bak"):
            objects.put(there, b"small")
        objects.sweep(large=["sequences.parquet"])
        assert sorted(gateway.uploads(bucket)) == others, "those are of other programs, and of another store"

    def test_an_upload_that_was_swept_is_begun_again(
        self, gateway: Gateway, bucket: str, local: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two writers freeze the same store; the first to finish takes the other for debris."""
        objects, other = self.objects(gateway, bucket), self.objects(gateway, bucket)
        send = objects._ask
        parts = iter((1, 2, 3))

        def interrupted(path: str, method: str, **arguments: Any) -> Any:
            if method == "upload_part" and next(parts, None) == 2:
                other.put_file(path, local)
            return send(path, method, **arguments)

        monkeypatch.setattr(objects, "_ask", interrupted)
        objects.put_file("sequences.parquet", local)
        assert gateway.objects(bucket)["store/sequences.parquet"] == local.read_bytes()
        assert gateway.uploads(bucket) == []


class TestCredentials:
    def test_come_from_the_environment(
        self, gateway: Gateway, bucket: str, monkeypatch: pytest.MonkeyPatch, forgetful: None
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        objects = open_objects(f"s3://{bucket}/store")
        objects.put("commits/0.json", b"x")
        assert objects.sizes() == {"commits/0.json": 1}

    def test_that_are_missing_come_with_the_way_out(
        self, gateway: Gateway, bucket: str, monkeypatch: pytest.MonkeyPatch, forgetful: None, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "nothing"))
        with pytest.raises(StoreError, match=r"Unable to locate credentials; set them .* --storage-option anon=true"):
            open_objects(f"s3://{bucket}/store", {"endpoint_url": gateway.url}).get("recipe.json")

    @pytest.mark.parametrize("where", ["userinfo", "endpoint", "options", "environment"])
    def test_are_in_no_error_and_in_no_log(
        self,
        where: str,
        gateway: Gateway,
        bucket: str,
        proxy_to: ProxyTo,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        forgetful: None,
    ) -> None:
        marker = "swordfish-4711"
        caplog.set_level(logging.INFO)
        caplog.set_level(logging.DEBUG, logger="actstore")
        proxy = proxy_to(gateway, Faults(busy_probability=1.0))
        uri, options = f"s3://{bucket}/store", {"endpoint_url": proxy.url, "attempts": 2}
        if where == "userinfo":
            uri = f"s3://me:{marker}@{bucket}/store"
        elif where == "endpoint":
            options["endpoint_url"] = proxy.url.replace("://", f"://me:{marker}@")
        elif where == "options":
            options |= {"key": "me", "secret": marker, "token": marker}
        else:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", marker)
            monkeypatch.setenv("AWS_SESSION_TOKEN", marker)
        told = []
        acts: tuple[Callable[[ObjectStore], object], ...] = (
            lambda objects: objects.get("recipe.json"),
            lambda objects: objects.put_new("recipe.json", b"x"),
        )
        for act in acts:
            with pytest.raises(ActstoreError) as caught:
                act(open_objects(uri, options))
            told.append("".join(traceback.format_exception(caught.value)))
            proxy.faults = Faults()  # the first is answered 503, the second 403
        assert marker not in caplog.text
        assert all(marker not in text for text in told)


def test_an_answer_that_is_longer_than_asked_for_is_an_error(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some servers ignore ranges, and answer with the object from its beginning."""
    assert isinstance(store, S3Objects)
    store.put("rows/c/0", b"0123456789")
    ask = store._fs._call_s3

    async def without_range(method: str, **arguments: Any) -> Any:
        arguments.pop("Range")
        return await ask(method, **arguments)

    monkeypatch.setattr(store._fs, "_call_s3", without_range)
    monkeypatch.setattr(store._signed, "fetch", AsyncMock(return_value=None))
    with pytest.raises(StoreError, match=r"rows/c/0 cannot be read: asked for bytes=4-5, the server sends 10 bytes"):
        store.get_range("rows/c/0", 4, 6)


def test_an_object_is_listed_though_its_name_ends_like_that_of_a_folder(
    gateway: Gateway, bucket: str, store: ObjectStore
) -> None:
    client = gateway.client()
    for key, data in (("store/folder/", b""), ("store/notes/", b"12345")):
        client.call_s3("put_object", Bucket=bucket, Key=key, Body=data)
    assert store.sizes() == {"notes/": 5}


def test_a_listing_has_more_than_a_thousand_objects(store: ObjectStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda index: store.put(f"commits/{index}.json", b"x"), range(1005)))
    assert store.sizes("commits") == {f"commits/{index}.json": 1 for index in range(1005)}
