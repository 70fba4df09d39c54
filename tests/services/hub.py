"""A stand-in for the Hugging Face Hub: repositories, branches, commits, large files, ranged downloads by redirect.

It speaks what the client of huggingface_hub uses without Xet: create, branch, preupload, the LFS batch interface,
commit, tree, paths-info, resolve. Files are in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

__all__ = ["TOKEN", "Hub"]

TOKEN = "hf_StandInToken123456789"
_SIGNED = "X-Amz-Signature=5ecret5ignature"
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_REPOSITORY = re.compile(r"/(?:(?:api/)?datasets/|api/models/|(?!api/|large/))(?P<name>[^/]+/[^/]+?)(?:\.git)?(?:/|$)")
"""Data sets have a folder of their own; models have one in the API alone."""
_PAGE = 7
_POINTER_BYTES = 134


@dataclass(frozen=True, slots=True)
class File:
    """A file of a commit."""

    size: int
    git_oid: str
    sha256: str | None
    """Of a large file."""
    data: bytes | None
    """Of a regular file."""


@dataclass
class Repository:
    """A repository, with every commit."""

    private: bool
    branches: dict[str, str]
    commits: dict[str, dict[str, File]]
    messages: list[str] = field(default_factory=list)

    def files(self, revision: str) -> dict[str, File] | None:
        """Return the files at a branch or commit."""
        return self.commits.get(self.branches.get(revision, revision))


@dataclass
class Hub:
    """The stand-in; use it as a context."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256."""
    puts: list[str] = field(default_factory=list)
    """Paths of what was uploaded, in order."""
    hold_after: int | None = None
    """Number of uploads after which the next ones wait for `release`."""
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """Method, path and headers of every request."""

    def __enter__(self) -> Self:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.answer(self)

            do_HEAD = do_POST = do_PUT = do_GET

            def log_message(self, *_: object) -> None:
                """Keep standard error clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        """Port on this machine."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What HF_ENDPOINT must be."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables for a process that uses it."""
        return {"HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

    def use_here(self, patch: pytest.MonkeyPatch) -> None:
        """Let huggingface_hub use it in this process."""
        from huggingface_hub import constants  # noqa: PLC0415 - reads the environment when it is imported

        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("HF_TOKEN", TOKEN)

    def content(self, repository: str, path: str, revision: str = "main") -> bytes:
        """Return a file as it is downloaded."""
        file = (self.repositories[repository].files(revision) or {})[path]
        return self.large[file.sha256] if file.sha256 else file.data or b""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        parts = urlsplit(request.path)
        headers = {title.title(): value for title, value in request.headers.items()}
        self.asked.append((request.command, request.path, headers))
        name = _REPOSITORY.match(parts.path)
        known = name is not None and name[1] in self.repositories
        if parts.path.startswith("/large/"):
            self._large(request, parts.path.rpartition("/")[2], body)
        elif name is not None and not (known and (self._is_known(request) or not self.repositories[name[1]].private)):
            self._refuse(request, 401 if not self._is_known(request) else 404, "RepoNotFound")
        elif request.command == "POST" and not parts.path.endswith("/paths-info") and not self._is_known(request):
            self._refuse(request, 401, "")
        elif parts.path == "/api/repos/create":
            self._create(request, json.loads(body))
        elif parts.path == "/api/validate-yaml":
            self._reply(request, {"errors": [], "warnings": []})
        elif name is None:
            self._refuse(request, 404, "RepoNotFound")
        else:
            rest = parts.path[name.end() :].split("/")
            self._about(request, name[1], [unquote(one) for one in rest], parse_qs(parts.query), body)

    def _about(
        self, request: BaseHTTPRequestHandler, name: str, rest: list[str], query: dict[str, list[str]], body: bytes
    ) -> None:
        repository = self.repositories[name]
        what, revision = rest[0] or "revision", rest[1] if len(rest) > 1 else "main"
        files = repository.files(revision)
        if what == "info":
            self._batch(request, json.loads(body))
        elif what == "branch":
            if revision in repository.branches:
                self._refuse(request, 409, "")
            else:
                repository.branches[revision] = repository.branches["main"]
                self._reply(request, {})
        elif files is None:
            self._refuse(request, 404, "RevisionNotFound")
        elif what == "revision":
            sha = repository.branches.get(revision, revision)
            self._reply(request, {"_id": "1", "id": name, "sha": sha, "private": repository.private, "tags": []})
        else:
            self._about_files(request, name, what, [revision, *rest[2:]], query, body)

    def _about_files(
        self,
        request: BaseHTTPRequestHandler,
        name: str,
        what: str,
        rest: list[str],
        query: dict[str, list[str]],
        body: bytes,
    ) -> None:
        files, path = self.repositories[name].files(rest[0]) or {}, "/".join(rest[1:])
        if what == "tree":
            self._tree(request, files, path, int(query.get("cursor", ["0"])[0]))
        elif what == "paths-info":
            wanted = parse_qs(body.decode()).get("paths", [])
            self._reply(request, [_entry(path, files[path]) for path in wanted if path in files])
        elif what == "preupload":
            asked = json.loads(body)["files"]
            self._reply(request, {"files": [self._mode(one, files) for one in asked]})
        elif what == "commit":
            self._commit(request, name, rest[0], body)
        elif what == "resolve":
            self._resolve(request, files.get(path), self.repositories[name].branches.get(rest[0], rest[0]))

    def _create(self, request: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        answer = {"url": f"{self.url}/datasets/{name}", "name": name}
        if name in self.repositories:
            self._reply(request, answer, status=409)
            return
        first = {".gitattributes": _regular(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")}
        # Older clients say it the first way.
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.repositories[name] = Repository(private, {"main": "0" * 40}, {"0" * 40: first})
        self._reply(request, answer)

    def _mode(self, asked: dict[str, Any], files: dict[str, File]) -> dict[str, Any]:
        there = files.get(asked["path"])
        is_binary = b"\0" in base64.b64decode(asked["sample"]) or asked["path"].endswith(".parquet")
        oid = None if there is None else there.sha256 or there.git_oid
        mode = "lfs" if is_binary else "regular"
        return {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, request: BaseHTTPRequestHandler, asked: dict[str, Any]) -> None:
        answered: list[dict[str, Any]] = []
        for one in asked["objects"]:
            upload = {"upload": {"href": f"http://localhost:{self.port}/large/{one['oid']}?{_SIGNED}"}}
            answered.append(one if one["oid"] in self.large else one | {"actions": upload})
        self._reply(request, {"transfer": "basic", "objects": answered})

    def _large(self, request: BaseHTTPRequestHandler, sha256: str, body: bytes) -> None:
        if _SIGNED not in request.path:
            self._refuse(request, 403, "")
        elif request.command == "PUT":
            with self._lock:
                count = len(self.puts)
            if self.hold_after is not None and count >= self.hold_after:
                self.holding.set()
                self.release.wait()
            good = hashlib.sha256(body).hexdigest() == sha256
            with self._lock:
                self.puts.append(sha256)
                if good:
                    self.large[sha256] = body
            self._reply(request, {}, status=200 if good else 400)
        else:
            self._ranged(request, self.large[sha256])

    def _commit(self, request: BaseHTTPRequestHandler, name: str, branch: str, body: bytes) -> None:
        repository = self.repositories[name]
        files = dict(repository.files(branch) or {})
        for line in body.splitlines():
            operation = json.loads(line)
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = _regular(base64.b64decode(value["content"]))
            elif operation["key"] == "lfsFile":
                assert value["oid"] in self.large, "a commit may only name what was uploaded"
                pointer = hashlib.sha1(value["oid"].encode(), usedforsecurity=False).hexdigest()
                files[value["path"]] = File(value["size"], pointer, value["oid"], None)
            elif value.get("parentCommit", repository.branches[branch]) != repository.branches[branch]:
                self._refuse(request, 412, "")
                return
            else:
                repository.messages.append(value["summary"])
        with self._lock:
            sha = hashlib.sha1(f"{branch} {len(repository.commits)}".encode(), usedforsecurity=False).hexdigest()
            repository.commits[sha] = files
            repository.branches[branch] = sha
        self._reply(
            request, {"commitUrl": f"{self.url}/datasets/{name}/commit/{sha}", "commitOid": sha, "success": True}
        )

    def _tree(self, request: BaseHTTPRequestHandler, files: dict[str, File], folder: str, start: int) -> None:
        below = sorted(path for path in files if not folder or path.startswith(f"{folder}/"))
        if not below:
            self._refuse(request, 404, "EntryNotFound")
            return
        folders = {path.rpartition("/")[0] for path in below} - {"", folder}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "path": one, "oid": "0" * 40, "size": 0} for one in folders
        ]
        entries += [_entry(path, files[path]) for path in below]
        headers = {}
        if start + _PAGE < len(entries):
            path = urlsplit(request.path).path
            headers["Link"] = f'<{self.url}{path}?recursive=True&cursor={start + _PAGE}>; rel="next"'
        self._reply(request, entries[start : start + _PAGE], headers=headers)

    def _resolve(self, request: BaseHTTPRequestHandler, file: File | None, commit: str) -> None:
        if file is None:
            self._refuse(request, 404, "EntryNotFound")
            return
        told = {"X-Repo-Commit": commit, "ETag": f'"{file.git_oid}"'}
        if file.sha256 is not None:
            place = f"http://localhost:{self.port}/large/{file.sha256}?{_SIGNED}"
            linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size), "Location": place}
            self._reply(request, {}, status=302, headers=told | linked)
        else:
            self._ranged(request, file.data or b"", told)

    def _ranged(self, request: BaseHTTPRequestHandler, data: bytes, headers: dict[str, str] | None = None) -> None:
        wanted = _RANGE.fullmatch(request.headers.get("Range", ""))
        if wanted is None:
            self._send(request, 200, data, headers or {})
        elif int(wanted[1]) >= len(data):
            self._send(request, 416, b"", {})
        else:
            start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(data))
            self._send(request, 206, data[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})

    @staticmethod
    def _is_known(request: BaseHTTPRequestHandler) -> bool:
        return bool(request.headers.get("Authorization") == f"Bearer {TOKEN}")

    def _refuse(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        self._send(request, status, b"{}", {"X-Error-Code": code} if code else {})

    def _reply(
        self,
        request: BaseHTTPRequestHandler,
        answer: object,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._send(request, status, json.dumps(answer).encode(), {"Content-Type": "application/json"} | (headers or {}))

    @staticmethod
    def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            request.send_header(name, value)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)


def _regular(data: bytes) -> File:
    oid = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
    return File(len(data), oid, None, data)


def _entry(path: str, file: File) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": path, "size": file.size, "oid": file.git_oid}
    if file.sha256 is not None:
        entry["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": _POINTER_BYTES}
    return entry
