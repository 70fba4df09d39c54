"""Ranges of S3 objects by signed URLs, which need less CPU time of the client per request."""

from __future__ import annotations

import re
import time
from typing import Final, NamedTuple

import fsspec

from actstore.access.filesystems import backend_errors

__all__ = ["SignedRanges"]

_EXPIRES_S: Final = 3600
_MOST_URLS: Final = 65_536
"""About 40 MB."""
_MOST_REFUSALS: Final = 3
"""Consecutive refusals of freshly signed URLs after which signed URLs are no longer used for this server."""
_PARTIAL: Final = 206
_SIGNATURE: Final = "s3v4-query"
_ABOUT_THE_OBJECT: Final = frozenset({404, 416})
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_QUERY: Final = re.compile(r"\?[^\s'\"]*")


class _SignedUrl(NamedTuple):
    url: str
    monotonic_s: float
    """Times until which it is used, by two clocks: one may stop while a computer sleeps, the other may be set back."""
    wall_s: float


class SignedRanges:
    """Gets ranges with URLs that are signed once for each object and used for half an hour.

    botocore takes a millisecond to make, sign and parse a request, and aiohttp a fifth of it to send the same one: in
    ranges of 1 MiB a gigabyte took 1.75 s of a client's CPU, and takes 0.8 s with signed URLs. If a request is refused
    or fails, the ordinary request is used, which has the error messages.

    Parameters
    ----------
    filesystem
        A connected `s3fs.S3FileSystem`.
    bucket
        Name of the bucket.
    """

    def __init__(self, filesystem: fsspec.AbstractFileSystem, bucket: str) -> None:
        self._fs = filesystem
        self._bucket = bucket
        # Other parameters of a request (a payer, encryption keys) would have to be signed and sent, too.
        plain = not (filesystem.anon or filesystem.req_kw or filesystem.s3_additional_kwargs)
        self._refusals_left = _MOST_REFUSALS if plain else 0
        self._urls: dict[str, _SignedUrl] = {}
        self._failed: set[str] = set()
        filesystem.s3.meta.events.register_first("choose-signer.s3.GetObject", _choose_version, unique_id="actstore")

    async def fetch(self, key: str, start: int, into: memoryview) -> int | None:
        """Read a range into memory as it arrives; return its length, or None if the ordinary request is needed.

        Raises
        ------
        ConnectionError
            If the connection fails; the next request for the object is an ordinary one.
        """
        if self._refusals_left <= 0:
            return None
        if key in self._failed:
            self._failed.discard(key)
            return None
        try:
            url, is_new = await self._url(key)
        except backend_errors():
            return None
        try:
            return await self._get(key, url, start, into, is_new=is_new)
        except backend_errors() as error:
            self._failed.add(key)
            # Without the error itself: its text may hold the signature.
            raise ConnectionError(_QUERY.sub("", str(error)) or type(error).__name__) from None

    async def _get(self, key: str, url: str, start: int, into: memoryview, *, is_new: bool) -> int | None:
        from botocore.awsrequest import AWSPreparedRequest, HeadersDict  # noqa: PLC0415 - not installed without S3

        headers = HeadersDict({"Range": f"bytes={start}-{start + len(into) - 1}"})
        request = AWSPreparedRequest("GET", url, headers, None, True)  # noqa: FBT003 - its signature
        response = await self._fs.s3._endpoint.http_session.send(request)  # noqa: SLF001 - with its proxies and timeouts
        found = 0
        try:
            status, length = response.status_code, int(response.headers.get("Content-Length", -1))
            if status in _TRANSIENT:
                raise ConnectionError(f"the server answers {status}")
            if status != _PARTIAL or not 0 <= length <= len(into):
                self._forget(key, status, is_new=is_new)
                return None
            async for block in response.raw.content.iter_any():
                into[found : found + len(block)] = block
                found += len(block)
        finally:
            response.raw.close()
        if found != length:
            raise ConnectionError(f"the connection ended after {found:,} of {length:,} bytes")
        self._refusals_left = _MOST_REFUSALS
        return found

    def _forget(self, key: str, status: int, *, is_new: bool) -> None:
        """Drop a URL that was refused or failed.

        Its credentials may have expired, and with them all URLs; later URLs may still work.
        """
        if status in _ABOUT_THE_OBJECT:
            self._urls.pop(key, None)
            return
        self._urls.clear()
        self._refusals_left = max(self._refusals_left - is_new, 0)

    async def _url(self, key: str) -> tuple[str, bool]:
        """Return a URL, and whether it was signed for this request."""
        known = self._urls.get(key)
        monotonic_s, wall_s = time.monotonic(), time.time()
        if known is not None and monotonic_s < known.monotonic_s and wall_s < known.wall_s:
            return known.url, False
        if len(self._urls) >= _MOST_URLS:
            self._urls.clear()
        url: str = await self._fs.s3.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": key}, ExpiresIn=_EXPIRES_S
        )
        self._urls[key] = _SignedUrl(url, monotonic_s + _EXPIRES_S / 2, wall_s + _EXPIRES_S / 2)
        return url, True


def _choose_version(signature_version: object, **_: object) -> str | None:
    """Sign URLs as requests are signed; botocore would use an older signature, which many servers refuse."""
    return _SIGNATURE if signature_version in {"v4-query", _SIGNATURE} else None
