"""A store of any number of tasks that is nowhere: an fsspec filesystem that makes its objects up when asked.

Every task has the objects of one that was really extracted, so its commit is right to the last digest. What is written
goes to memory. Requests are counted as object storage counts them: a listing takes one for every thousand objects.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import fsspec

__all__ = ["LISTED_AT_ONCE", "MARK", "PROTOCOL", "MadeUpFileSystem"]

PROTOCOL: Final = "madeup"
LISTED_AT_ONCE: Final = 1000
"""Keys in one answer of S3."""
MARK: Final = 987_654_321_987
"""Stands for the number of the task in the commit that all commits are made from."""
_OF_TASK: Final = re.compile(r"(?P<array>.+)/c/(?P<task>\d+)(?:/0)*|commits/(?P<commit>\d+)\.json")


class MadeUpFileSystem(fsspec.AbstractFileSystem):  # type: ignore[misc] # fsspec has no types
    """What a folder of `benchmarks.data.made_up_store` describes.

    Parameters
    ----------
    folder
        Holds `objects` (as they are), `arrays` (the object that a task has of each) and `commit.json`.
    done
        Tasks below this number are committed.
    latency_s
        What every request takes.
    """

    protocol = PROTOCOL

    def __init__(self, folder: str, done: int = 0, latency_s: float = 0.0, **options: object) -> None:
        super().__init__(folder=folder, done=done, latency_s=latency_s, **options)
        root = Path(folder)
        self._done = done
        self._latency_s = latency_s
        self._files = {str(path.relative_to(root / "objects")): path for path in _files_below(root / "objects")}
        arrays = root / "arrays"
        self._arrays = {str(path.parent.relative_to(arrays)): path.read_bytes() for path in _files_below(arrays)}
        self._commit = (root / "commit.json").read_bytes().split(str(MARK).encode())
        self._written: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.requests = 0
        """Since it was opened."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: object) -> bytes:
        """Return an object or a range of it."""
        self._count(1)
        name = self._name(path)
        if name not in self._written and name in self._files:
            with self._files[name].open("rb") as file:
                file.seek(start or 0)
                return file.read(-1 if end is None else end - (start or 0))
        return self._content(name)[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        """Write an object into memory."""
        self._count(1)
        name = self._name(path)
        with self._lock:
            if mode == "create" and self._is_there(name):
                raise FileExistsError(path)
            self._written[name] = value

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """Return the size of an object."""
        self._count(1)
        name = self._name(path)
        known = name not in self._written and name in self._files
        size = self._files[name].stat().st_size if known else len(self._content(name))
        return {"name": path, "size": size, "type": "file"}

    def find(self, path: str, *_: object, **__: object) -> dict[str, dict[str, Any]]:
        """List the commits, the only folder that is listed here."""
        if self._name(path) != "commits":
            raise NotImplementedError(path)
        names = {f"commits/{task}.json" for task in range(self._done)}
        names.update(name for name in self._written if name.startswith("commits/"))
        self._count(-(-len(names) // LISTED_AT_ONCE) or 1)
        return {f"store/{name}": {"name": f"store/{name}", "size": 0, "type": "file"} for name in names}

    def invalidate_cache(self, path: str | None = None) -> None:
        """Do nothing: nothing is cached."""

    def _name(self, path: str) -> str:
        return str(self._strip_protocol(path)).removeprefix("store").strip("/")

    def _content(self, name: str) -> bytes:
        if name in self._written:
            return self._written[name]
        if name in self._files:
            return self._files[name].read_bytes()
        found = _OF_TASK.fullmatch(name)
        if found is None or int(found["task"] or found["commit"]) >= self._done:
            raise FileNotFoundError(name)
        if found["commit"] is not None:
            return found["commit"].encode().join(self._commit)
        return self._arrays[found["array"]]

    def _is_there(self, name: str) -> bool:
        try:
            self._content(name)
        except FileNotFoundError:
            return False
        return True

    def _count(self, requests: int) -> None:
        with self._lock:
            self.requests += requests
        if self._latency_s:
            time.sleep(self._latency_s * requests)


def _files_below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


fsspec.register_implementation(PROTOCOL, MadeUpFileSystem, clobber=True)
