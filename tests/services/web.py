"""Plain static hosting on this machine: a folder behind HTTP, with or without range requests."""

from __future__ import annotations

import re
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

__all__ = ["Asked", "WebServer"]

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class WebServer:
    """Serves the files of a folder; use it as a context."""

    folder: Path
    ranges: bool = True
    """Whether it grants requests for a part of a file, or sends the whole."""
    moved: str | None = None
    """Path from which it redirects to the same file at the root of `moved_to`."""
    moved_to: str = ""
    failures: deque[int] = field(default_factory=deque)
    """Statuses of the next answers, before it works."""
    encoding: str | None = None
    """What it says about the encoding of every answer."""
    asked: list[Asked] = field(default_factory=list)
    bytes_sent: int = 0

    def __enter__(self) -> Self:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                web.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Keep standard error clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """URL of the folder."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = unquote(urlsplit(request.path).path)
        self.asked.append(Asked(request.command, path, dict(request.headers.items())))
        if self.failures:
            self._send(request, self.failures.popleft(), b"", {})
        elif self.moved is not None and path.startswith(self.moved):
            self._send(request, 302, b"", {"Location": self.moved_to + path.removeprefix(self.moved)})
        else:
            file = self.folder / path.lstrip("/")
            if file.is_file():
                self._send_file(request, file.read_bytes())
            else:
                self._send(request, 404, b"nothing here", {})

    def _send_file(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
        headers = {"Content-Encoding": self.encoding} if self.encoding else {}
        if wanted is None or not self.ranges:
            self._send(request, 200, data, headers)
            return
        start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
        if start >= len(data):
            self._send(request, 416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        where = {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        self._send(request, 206, data[start:stop], headers | where)

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command == "HEAD":
            return
        with suppress(ConnectionError):  # the client has enough
            for start in range(0, len(body), _BLOCK_BYTES):
                block = body[start : start + _BLOCK_BYTES]
                request.wfile.write(block)
                self.bytes_sent += len(block)
            return
        request.close_connection = True
