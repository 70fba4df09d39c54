"""Repositories of the Hugging Face Hub: read-only, at the commit that was the newest when the store was opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actstore.access.http import ReadOnlyObjects, check_length, check_part, check_plain
from actstore.errors import StoreError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["HfObjects", "is_hub_repository"]

_IDLE_S: Final = 20.0
_MISSING: Final = 404
_NOT_SATISFIABLE: Final = 416


def is_hub_repository(url: str) -> bool:
    """Return whether a URL is that of a repository on the Hub, which is written by commits only.

    Examples
    --------
    >>> is_hub_repository("hf://datasets/user/name"), is_hub_repository("hf://buckets/user/name")
    (True, False)
    """
    scheme, _, place = url.partition("://")
    return scheme.lower() == "hf" and not place.startswith("buckets/")


class _Pinned(NamedTuple):
    repo_type: str
    repo_id: str
    commit: str
    folder: str
    """Path of the store in the repository, with a slash at the end, or empty."""


class HfObjects(ReadOnlyObjects):
    """Objects in a repository; see `FsspecObjects`.

    Branches move while a store is read. So the name of a branch is resolved once, to the commit it is at.

    Parameters
    ----------
    filesystem
        An `HfFileSystem` of huggingface_hub. It finds the repository; ranges are requested here, because it asks for
        every range with a listing and takes any answer for the range.
    """

    def __init__(self, *arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*arguments, **keywords)
        self._api: HfApi = self._fs._api  # noqa: SLF001 - with its endpoint and token
        self._pinning = threading.Lock()
        self._pin: _Pinned | None = None

    def _pinned(self) -> _Pinned:
        """Return the commit, looked up at the first call."""
        with self._pinning:
            if self._pin is None:
                try:
                    found = self._fs.resolve_path(self._root)
                except FileNotFoundError:
                    raise StoreError(
                        f"{self.uri}: no such repository or revision on the Hub, or you may not read it; check the "
                        "name, and log in for a private one ('hf auth login', or HF_TOKEN)"
                    ) from None
                except (NotImplementedError, ValueError):
                    raise StoreError(f"{self.uri}: not a place on the Hub, such as hf://datasets/user/name") from None
                info = self._api.repo_info(found.repo_id, repo_type=found.repo_type, revision=found.revision)
                if info.sha is None:
                    raise StoreError(f"{self.uri}: the Hub does not say the commit of {found.revision}")
                folder = f"{found.path_in_repo}/" if found.path_in_repo else ""
                self._pin = _Pinned(found.repo_type, found.repo_id, info.sha, folder)
            return self._pin

    def _read(self, path: str) -> bytes:
        with self._stream(path) as response:
            _check_granted(response, path)
            check_plain(_titled(response.headers))
            return b"".join(response.iter_raw())

    def _read_into(self, path: str, start: int, into: memoryview) -> int:
        if not into:
            return 0
        found = 0
        with self._stream(path, Range=f"bytes={start}-{start + len(into) - 1}") as response:
            if response.status_code == _NOT_SATISFIABLE:
                return 0
            _check_granted(response, path)
            length = check_part(response.status_code, _titled(response.headers), start=start, size=len(into))
            for block in response.iter_raw():
                check_length(found + len(block), most=len(into))
                into[found : found + len(block)] = block
                found += len(block)
        if length is not None and found != length:
            raise ConnectionError(f"the connection ended after {found:,} of {length:,} bytes")
        return found

    def _size(self, path: str) -> int:
        pin = self._pinned()
        entries = self._api.get_paths_info(
            pin.repo_id, [pin.folder + path], repo_type=pin.repo_type, revision=pin.commit
        )
        sizes = [entry.size for entry in entries if hasattr(entry, "size")]
        if not sizes:
            raise FileNotFoundError(path)
        return sizes[0]

    def _entries(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        from huggingface_hub.errors import EntryNotFoundError  # noqa: PLC0415 - takes a while

        def find() -> list[tuple[str, int]]:
            pin = self._pinned()
            place = (pin.folder + prefix).rstrip("/") or None
            try:
                entries = self._api.list_repo_tree(
                    pin.repo_id, place, recursive=True, repo_type=pin.repo_type, revision=pin.commit
                )
                return [(one.path.removeprefix(pin.folder), one.size) for one in entries if hasattr(one, "size")]
            except EntryNotFoundError:
                return []

        for name, size in self._do(f"{prefix}/", find, doing="listed"):
            yield name, {"size": size}

    def _stream(self, path: str, **headers: str) -> Any:  # noqa: ANN401 - of httpx or its successor
        from huggingface_hub import get_session, hf_hub_url  # noqa: PLC0415 - takes a while
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # noqa: PLC0415

        pin = self._pinned()
        url = hf_hub_url(
            pin.repo_id, pin.folder + path, repo_type=pin.repo_type, revision=pin.commit, endpoint=self._api.endpoint
        )
        sent = {
            **build_hf_headers(token=self._api.token, library_name="actstore"),
            "Accept-Encoding": "identity",
            **headers,
        }
        return get_session().stream("GET", url, headers=sent, timeout=_IDLE_S, follow_redirects=True)


def _titled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.title(): value for name, value in headers.items()}


def _check_granted(response: Any, path: str) -> None:  # noqa: ANN401
    from huggingface_hub import hf_raise_for_status  # noqa: PLC0415 - takes a while

    if response.status_code == _MISSING:
        raise FileNotFoundError(path)
    hf_raise_for_status(response)
