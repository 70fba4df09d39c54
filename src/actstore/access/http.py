"""Stores on web servers: read-only, by plain range requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from urllib.parse import quote

from fsspec.asyn import sync

from actstore.access.fsspec import FsspecObjects
from actstore.access.retrying import Retries
from actstore.errors import StoreError

if TYPE_CHECKING:
    import aiohttp

__all__ = ["HttpObjects", "ReadOnlyObjects", "check_length", "check_part", "check_plain", "open_http"]

_WHOLE: Final = 200
_PARTIAL: Final = 206
_MISSING: Final = frozenset({404, 410})
_NOT_SATISFIABLE: Final = 416
_Result = TypeVar("_Result")


class _OtherAnswerError(StoreError):
    """An answer with other bytes than were asked for; the object is named by who asked."""


def check_part(status: int, headers: Mapping[str, str], *, start: int, size: int) -> int | None:
    """Return how many bytes an answer to a range request has; None if the server does not say.

    Parameters
    ----------
    status, headers
        Of the answer, whose status is no error.
    start, size
        The range that was asked for.

    Raises
    ------
    StoreError
        If it is not the range, or is compressed: a server may send the whole object instead.

    Examples
    --------
    >>> check_part(206, {"Content-Range": "bytes 100-149/150", "Content-Length": "50"}, start=100, size=64)
    50
    """
    asked = f"asked for bytes {start:,}-{start + size - 1:,}, the server sends"
    check_plain(headers)
    length = headers.get("Content-Length", "")
    found = int(length) if length.isascii() and length.isdecimal() else None
    if status == _WHOLE and start == 0 and found is not None and found <= size:
        return found
    if status != _PARTIAL:
        sent = "" if found is None else f" of {found:,} bytes"
        raise _OtherAnswerError(
            f"{asked} the whole object{sent}; use a server with range requests, such as nginx, Apache, or an object "
            "storage behind https"
        )
    if not headers.get("Content-Range", "").startswith(f"bytes {start}-") or (found is not None and found > size):
        raise _OtherAnswerError(f"{asked} another part of the object")
    return found


def check_plain(headers: Mapping[str, str]) -> None:
    """Refuse an answer with compressed bytes; raises `StoreError`."""
    if headers.get("Content-Encoding", "identity") != "identity":
        raise _OtherAnswerError("the server compresses what it sends; use one that sends stored bytes unchanged")


def check_length(found: int, *, most: int) -> None:
    """Refuse more bytes than were asked for; raises `StoreError`."""
    if found > most:
        raise _OtherAnswerError(f"asked for {most:,} bytes, the server sends more")


class ReadOnlyObjects(FsspecObjects):
    """Objects at a place that actstore only reads; see `FsspecObjects`."""

    def put(self, path: str, data: bytes) -> None:  # noqa: ARG002 - the protocol's signature
        """Refuse; raises `StoreError`."""
        self._refuse()

    def put_new(self, path: str, data: bytes) -> bool:  # noqa: ARG002
        """Refuse; raises `StoreError`."""
        self._refuse()

    def put_file(self, path: str, local: Path) -> None:  # noqa: ARG002
        """Refuse; raises `StoreError`."""
        self._refuse()

    def delete(self, path: str) -> None:  # noqa: ARG002
        """Refuse; raises `StoreError`."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise StoreError(
            f"{self.uri}: stores are only read here; write to a folder or to object storage (s3://, gs://), then "
            "'actstore publish' it on the Hub, or copy it to the server"
        )

    def _read_range(self, path: str, start: int, stop: int) -> bytes:
        memory = bytearray(max(stop - start, 0))
        found = self._read_into(path, start, memoryview(memory))
        return bytes(memoryview(memory)[:found])

    def _do(self, path: str, act: Callable[[], _Result], **doing: Any) -> _Result:  # noqa: ANN401 - passed on
        """Name the object in what `check_part` says, too."""

        def named() -> _Result:
            try:
                return act()
            except _OtherAnswerError as error:
                raise StoreError(f"{self._name(path)} cannot be read: {error}") from None

        return super()._do(path, named, **doing)


class HttpObjects(ReadOnlyObjects):
    """Objects on a web server, which cannot list them.

    Parameters
    ----------
    filesystem
        An `HTTPFileSystem` of fsspec; of it only the session is used, because it takes any answer for the range.
    headers
        Sent with each request, such as `Authorization`.
    """

    def __init__(self, *arguments: Any, headers: Mapping[str, str] | None = None, **keywords: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*arguments, **keywords)
        self._headers = {**(headers or {}), "Accept-Encoding": "identity"}

    @property
    def uri(self) -> str:
        """The URL of the root."""
        return self._root

    def _read(self, path: str) -> bytes:
        return bytes(sync(self._fs.loop, self._fetch_whole, self._full(path)))

    def _read_into(self, path: str, start: int, into: memoryview) -> int:
        if not into:
            return 0
        found: int = sync(self._fs.loop, self._fetch, self._full(path), start, into)
        return found

    def _size(self, path: str) -> int:
        length: str | None = sync(self._fs.loop, self._fetch_length, self._full(path))
        return self._known(path, None if length is None else int(length))

    def _entries(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ARG002 - as in the base class
        raise StoreError(
            f"{self.uri}: a web server does not list what it has, so only finished stores can be read there; what "
            "needs a list (verify, repair, gc) works on the store itself"
        )

    async def _fetch_whole(self, url: str) -> bytes:
        async with await self._get(url) as response:
            _check_granted(response, url)
            check_plain(response.headers)
            return await response.read()

    async def _fetch_length(self, url: str) -> str | None:
        session = await self._fs.set_session()
        async with session.head(self._fs.encode_url(url), headers=self._headers, allow_redirects=True) as response:
            _check_granted(response, url)
            length: str | None = response.headers.get("Content-Length")
            return length

    async def _fetch(self, url: str, start: int, into: memoryview) -> int:
        """Read a range into memory as it arrives; leave the connection if the server sends anything else."""
        async with await self._get(url, Range=f"bytes={start}-{start + len(into) - 1}") as response:
            if response.status == _NOT_SATISFIABLE:
                return 0
            _check_granted(response, url)
            length = check_part(response.status, response.headers, start=start, size=len(into))
            found = 0
            async for block in response.content.iter_any():
                check_length(found + len(block), most=len(into))
                into[found : found + len(block)] = block
                found += len(block)
        if length is not None and found != length:
            raise ConnectionError(f"the connection ended after {found:,} of {length:,} bytes")
        return found

    async def _get(self, url: str, **headers: str) -> aiohttp.ClientResponse:
        session: aiohttp.ClientSession = await self._fs.set_session()
        return await session.get(self._fs.encode_url(url), headers={**self._headers, **headers})

    def _full(self, path: str) -> str:
        return f"{self._root}/{quote(path)}"


def _check_granted(response: aiohttp.ClientResponse, url: str) -> None:
    if response.status in _MISSING:
        raise FileNotFoundError(url)
    response.raise_for_status()


def open_http(url: str, options: Mapping[str, Any], *, retries: Retries, secrets: tuple[str, ...] = ()) -> HttpObjects:
    """Return the objects below a URL; nothing is read yet.

    Parameters
    ----------
    url
        Of the folder, with http:// or https://.
    options
        `connect_timeout` and `read_timeout` in seconds, and perhaps `headers`.
    retries, secrets
        See `FsspecObjects`.

    Raises
    ------
    StoreError
        If aiohttp is not installed.
    """
    try:
        from aiohttp import ClientTimeout  # noqa: PLC0415 - the extra `http`
        from fsspec.implementations.http import HTTPFileSystem  # noqa: PLC0415
    except ImportError:
        raise StoreError(
            f"{url}: cannot be opened without aiohttp; install it with pip install 'actstore[http]'"
        ) from None
    timeout = ClientTimeout(total=None, sock_connect=options["connect_timeout"], sock_read=options["read_timeout"])
    filesystem = HTTPFileSystem(client_kwargs={"timeout": timeout, "auto_decompress": False})
    scheme, _, place = url.partition("://")
    root = f"{scheme.lower()}://{place}"
    return HttpObjects(filesystem, root, headers=options.get("headers"), retries=retries, secrets=secrets)
