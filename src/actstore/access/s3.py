"""S3 and compatible servers: puts that create, ranges read directly into memory, removal of interrupted uploads."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import fsspec
from fsspec.asyn import sync

from actstore.access.filesystems import answer_of, backend_errors
from actstore.access.fsspec import FsspecObjects
from actstore.access.retrying import Retries
from actstore.access.s3_ranges import SignedRanges
from actstore.errors import MissingObjectError, StorageUnavailableError, StoreError

__all__ = ["S3Objects", "once"]

_LARGEST_PUT_BYTES: Final = 5 << 30
"""Limit of S3 for an object written with one request."""
_PART_BYTES: Final = 64 << 20
"""Bytes that are sent again if a connection is cut in the middle of a file."""
_MOST_PARTS: Final = 10_000
"""Limit of S3."""
_MOST_UPLOADS: Final = 3
"""How often a file is uploaded from the start, if the upload was removed or its last answer was lost."""

_log = logging.getLogger("actstore.storage")


def once(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return storage options of an `s3fs.S3FileSystem` that tries each operation once, for `S3Objects`.

    `S3Objects` counts the attempts; those of botocore and s3fs must not multiply them.
    """
    config = {"retries": {"total_max_attempts": 1}} | options.get("config_kwargs", {})
    return {
        # Other processes write to the same prefix, so listings are not cached.
        "use_listings_cache": False,
        # Without this, every GET begins with a HEAD, to decide whether to split it.
        "max_concurrency": 1,
        **options,
        "config_kwargs": config,
    }


class S3Objects(FsspecObjects):
    """Objects in a bucket; see `FsspecObjects`.

    Parameters
    ----------
    filesystem
        An `s3fs.S3FileSystem` made with the options of `once`.
    part_bytes
        Files beyond this size are uploaded in parts; at least 5 MiB.
    """

    def __init__(
        self,
        filesystem: fsspec.AbstractFileSystem,
        root: str,
        *,
        retries: Retries | None = None,
        secrets: tuple[str, ...] = (),
        part_bytes: int = _PART_BYTES,
    ) -> None:
        from botocore.handlers import add_expect_header  # noqa: PLC0415 - not installed without S3

        super().__init__(filesystem, root, retries=retries, secrets=secrets)
        filesystem.retries = 1
        # Without this, clients wait without a limit until a server says that it expects a body.
        filesystem.s3.meta.events.unregister("before-call.s3", add_expect_header)
        self._bucket, self._prefix, _ = filesystem.split_path(f"{self._root}/")
        self._part_bytes = part_bytes
        self._signed = SignedRanges(filesystem, self._bucket)

    def put_file(self, path: str, local: Path) -> None:
        """Write or replace an object with the content of a local file; in parts if it is large."""
        try:
            size = local.stat().st_size
            if size <= self._part_bytes:
                self.put(path, local.read_bytes())
                return
            self._upload(path, local, size)
        except OSError as error:
            raise StoreError(f"{self._name(path)} cannot be written: {local}: {error.strerror or error}") from error

    def sweep(self, *, large: Collection[str] = ()) -> None:
        """Remove the parts of interrupted uploads of large objects, which cost money and are not listed.

        Uploads of other objects belong to other programs. Parts are removed only if the object exists, because a writer
        that is still uploading it then does not need them. Without permission to list uploads, nothing is removed.
        """
        try:
            for path in large:
                if uploads := list(self._uploads(path)):
                    with suppress(MissingObjectError):
                        self._do(path, partial(self._size, path))
                        for upload in uploads:
                            self._abort(path, upload)
        except StorageUnavailableError:
            raise
        except StoreError as error:
            _log.info("unfinished uploads are not removed: %s", error)

    def _read(self, path: str) -> bytes:
        data: bytes = self._fs.cat_file(self._full(path), max_concurrency=1)
        return data

    def _read_range(self, path: str, start: int, stop: int) -> bytes:
        memory = bytearray(max(stop - start, 0))
        found = self._read_into(path, start, memoryview(memory))
        return bytes(memoryview(memory)[:found])

    def _read_into(self, path: str, start: int, into: memoryview) -> int:
        if not into:
            return 0
        try:
            found: int = sync(self._fs.loop, self._fetch, self._key(path), start, into)
        except OSError as error:
            if _is_answer(error, 416, "InvalidRange"):
                return 0
            raise
        return found

    async def _fetch(self, key: str, start: int, into: memoryview) -> int:
        """Read a range into memory as it arrives, without a copy."""
        signed = await self._signed.fetch(key, start, into)
        if signed is not None:
            return signed
        wanted = f"bytes={start}-{start + len(into) - 1}"
        response = await self._fs._call_s3("get_object", Bucket=self._bucket, Key=key, Range=wanted)  # noqa: SLF001
        body = response["Body"]
        found = 0
        try:
            if response["ContentLength"] > len(into):
                raise OSError(f"asked for {wanted}, the server sends {response['ContentLength']:,} bytes")
            # aiobotocore before 3.8 lets attributes of the raw stream through.
            async for block in getattr(body, "raw_stream", body).content.iter_any():
                into[found : found + len(block)] = block
                found += len(block)
        finally:
            body.close()
        if found != response["ContentLength"]:
            raise ConnectionError(f"the connection ended after {found:,} of {response['ContentLength']:,} bytes")
        return found

    def _size(self, path: str) -> int:
        size: int = self._once("head_object", Key=self._key(path))["ContentLength"]
        return size

    def _write(self, path: str, data: bytes) -> None:
        self._put(path, data)

    def _create(self, path: str, data: bytes) -> None:
        # The condition is used for single puts only: some servers ignore it when parts are joined.
        try:
            self._put(path, data, IfNoneMatch="*")
        except OSError as error:
            if _is_answer(error, 412, "PreconditionFailed"):
                raise FileExistsError(path) from error
            raise

    def _put(self, path: str, data: bytes, **condition: str) -> None:
        if len(data) > _LARGEST_PUT_BYTES:
            raise StoreError(
                f"{self._name(path)} has {len(data):,} bytes; S3 puts at most {_LARGEST_PUT_BYTES:,} at once, and only "
                "objects that are put at once can be created without replacing another: make tasks smaller with "
                "store.task_rows"
            )
        self._once("put_object", Key=self._key(path), Body=data, **condition)

    def _entries(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        below = self._key(f"{prefix}/" if prefix else "")
        following: dict[str, str] = {}
        while True:
            page = self._do(
                f"{prefix}/", partial(self._once, "list_objects_v2", Prefix=below, **following), doing="listed"
            )
            for entry in page.get("Contents", ()):
                # Without the placeholder objects that some tools create for folders.
                if entry["Size"] or not entry["Key"].endswith("/"):
                    yield entry["Key"][len(self._prefix) :], entry | {"size": entry["Size"]}
            if not page.get("IsTruncated"):
                return
            following = {"ContinuationToken": page["NextContinuationToken"]}

    def _upload(self, path: str, local: Path, size: int) -> None:
        """Write a file in parts, and check that the object exists before returning."""
        for _ in range(_MOST_UPLOADS):
            upload: str = self._ask(path, "create_multipart_upload", doing="written")["UploadId"]
            try:
                self._send_parts(path, upload, local, size)
            except MissingObjectError:  # removed by another writer, or joined but the answer was lost: try again
                continue
            except BaseException:
                # One attempt, because the user waits for it; `sweep` removes what is left.
                with suppress(*backend_errors()):
                    self._once("abort_multipart_upload", Key=self._key(path), UploadId=upload)
                raise
            if (there := self._do(path, lambda: self._size(path))) != size:
                raise StoreError(f"{self._name(path)} has {there:,} bytes after {size:,} were sent; write it again")
            self.sweep(large=[path])
            return
        raise StoreError(f"{self._name(path)} cannot be written: another program removed {_MOST_UPLOADS} uploads")

    def _send_parts(self, path: str, upload: str, local: Path, size: int) -> None:
        part_bytes = max(self._part_bytes, -(-size // _MOST_PARTS))
        parts: list[dict[str, Any]] = []
        with local.open("rb") as file:
            while data := file.read(part_bytes):
                number = len(parts) + 1
                sent = self._ask(path, "upload_part", UploadId=upload, PartNumber=number, Body=data)
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._ask(path, "complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts})

    def _abort(self, path: str, upload: str) -> None:
        with suppress(MissingObjectError):
            self._ask(path, "abort_multipart_upload", UploadId=upload)

    def _uploads(self, path: str) -> Iterator[str]:
        """Yield the ids of the unfinished uploads of an object."""
        following: dict[str, str] = {}
        while True:
            request = partial(self._once, "list_multipart_uploads", Prefix=self._key(path), **following)
            page = self._do(path, request, doing="listed")
            for upload in page.get("Uploads", ()):
                if upload["Key"] == self._key(path):  # without objects whose names only begin with the same letters
                    yield upload["UploadId"]
            if not page.get("IsTruncated"):
                return
            following = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def _ask(
        self, path: str, method: str, *, doing: Literal["written", "sent"] = "sent", **arguments: object
    ) -> dict[str, Any]:
        """Send a request about an object until it is granted; raises `MissingObjectError` if its upload is gone."""
        return self._do(path, partial(self._once, method, Key=self._key(path), **arguments), doing=doing)

    def _once(self, method: str, **arguments: object) -> dict[str, Any]:
        answer: dict[str, Any] = self._fs.call_s3(method, Bucket=self._bucket, **arguments)
        return answer

    def _key(self, path: str) -> str:
        return f"{self._prefix}{path}"


def _is_answer(error: BaseException, status: int, code: str) -> bool:
    """Return whether a server gave one of these answers; s3fs wraps the exception of botocore in its own."""
    answer = answer_of(error.__cause__ or error)
    return answer is not None and (answer.code == code or (not answer.code and answer.status == status))
