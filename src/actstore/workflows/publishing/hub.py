"""A repository of the Hugging Face Hub: what it has, commits to it, and files from it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeVar
from urllib.parse import quote

from actstore.access.filesystems import answer_of, backend_errors, describe_error
from actstore.access.retrying import Retries
from actstore.errors import StorageUnavailableError, StoreError, UsageError
from actstore.redaction import keep_secret
from actstore.store.format.canonical import sha256_hex

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

__all__ = ["HubRepository", "RemoteFile"]

_BRANCH: Final = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99}){0,9}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_THREADS: Final = 8
_NO_ACCESS: Final = frozenset({401, 403})
_MISSING: Final = 404
_OTHER_PARENT: Final = 412
_FIRST_ATTEMPTS: Final = 3
_FIRST_ANSWER_S: Final = 5.0
"""Somebody waits for the first answer: without a network, the error comes within 20 s."""
_Result = TypeVar("_Result")


class RemoteFile(NamedTuple):
    """A file that the repository has."""

    size: int
    sha256: str | None
    """Of a large file; None for one that git keeps itself."""
    git_oid: str

    def has(self, data: bytes) -> bool:
        """Return whether these are its bytes."""
        if self.sha256 is not None:
            return self.sha256 == sha256_hex(data)
        blob = b"blob %d\0" % len(data)
        return self.git_oid == hashlib.sha1(blob + data, usedforsecurity=False).hexdigest()


class HubRepository:
    """One branch of a repository of a data set or a model.

    The token is that of the environment (HF_TOKEN) or of `hf auth login`; it appears in no message.

    Parameters
    ----------
    name
        `user/name`.
    kind
        `dataset` or `model`.
    revision
        Branch; to read, also a tag or a commit.
    retries
        How often a request is tried while the Hub has transient failures.

    Raises
    ------
    UsageError
        If these are no names of a repository and a branch.
    """

    def __init__(
        self,
        name: str,
        *,
        kind: Literal["dataset", "model"] = "dataset",
        revision: str = "main",
        retries: Retries | None = None,
    ) -> None:
        if not _NAME.fullmatch(name) or ".." in name or "--" in name or name.endswith((".git", ".")):
            raise UsageError(f"{name!r} is no name of a repository on the Hub: give USER/NAME, such as my-lab/esm2-8m")
        if not _BRANCH.fullmatch(revision) or ".." in revision:
            raise UsageError(f"revision (--revision) {revision!r} is no name of a branch")
        from huggingface_hub import HfApi, get_token  # noqa: PLC0415 - takes a while

        keep_secret({"token": get_token()})
        self.name = name
        self.kind = kind
        self.revision = revision
        self._api = HfApi(library_name="actstore")
        self._retries = replace(retries or Retries(), kept="")

    @property
    def _folder(self) -> str:
        return "datasets/" if self.kind == "dataset" else ""

    @property
    def url(self) -> str:
        """Page of the repository."""
        return f"{self._api.endpoint}/{self._folder}{self.name}"

    @property
    def uri(self) -> str:
        """Where readers find it."""
        branch = "" if self.revision == "main" else f"@{quote(self.revision, safe='')}"
        return f"hf://{self._folder}{self.name}{branch}"

    def head(self) -> str | None:
        """Return the commit of the branch; None if there is no such repository or branch.

        Raises
        ------
        StorageUnavailableError
            If the Hub does not answer at once.
        """

        def find() -> str:
            ask = self._api.dataset_info if self.kind == "dataset" else self._api.model_info
            info = ask(self.name, revision=self.revision, timeout=_FIRST_ANSWER_S, expand=["sha"])
            return str(info.sha)

        few = replace(self._retries, attempts=min(self._retries.attempts, _FIRST_ATTEMPTS))
        try:
            return self._do(find, if_missing=lambda: None, retries=few)
        except StorageUnavailableError as error:
            raise StorageUnavailableError(
                f"the Hub does not answer; check the network (HTTPS_PROXY) and its address (HF_ENDPOINT): {error}"
            ) from None

    def files(self, commit: str) -> dict[str, RemoteFile]:
        """Return what a commit has, by path."""
        from huggingface_hub.hf_api import RepoFile  # noqa: PLC0415

        def find() -> dict[str, RemoteFile]:
            found = self._api.list_repo_tree(self.name, recursive=True, revision=commit, repo_type=self.kind)
            return {
                one.path: RemoteFile(one.size, None if one.lfs is None else one.lfs.sha256, one.blob_id)
                for one in found
                if isinstance(one, RepoFile)
            }

        with _quiet():
            return self._do(find)

    def create(self, *, private: bool) -> str:
        """Create repository and branch unless they exist; return the commit of the branch.

        An existing repository stays as private as it is.
        """
        self._do(lambda: self._api.create_repo(self.name, repo_type=self.kind, private=private, exist_ok=True))
        if self.revision != "main":
            self._do(
                lambda: self._api.create_branch(self.name, branch=self.revision, repo_type=self.kind, exist_ok=True)
            )
        if (head := self.head()) is None:
            raise StoreError(f"{self.url}: the Hub does not have the branch {self.revision} that was just made")
        return head

    def commit(self, files: Mapping[str, Path | bytes], *, message: str, parent: str) -> str:
        """Send files and commit them together; return the commit.

        What the Hub has already, it does not take again, even if it belongs to no commit yet.

        Raises
        ------
        StoreError
            If the branch is at another commit than `parent`.
        """

        def send() -> str:
            return str(
                self._api.create_commit(
                    self.name,
                    self._operations(files),
                    commit_message=message,
                    repo_type=self.kind,
                    revision=self.revision,
                    parent_commit=parent,
                    num_threads=_THREADS,
                ).oid
            )

        with _quiet():
            return self._do(send, retries=replace(self._retries, kept="what the Hub has is not sent again"))

    def download(self, path: str, *, commit: str | None = None) -> Path | None:
        """Return where a file is on this machine, downloaded unless it is; None if there is no such file or repository.

        Files are kept in the cache of huggingface_hub, in a folder with the name of their commit. Without a network the
        newest file of the branch in this cache is taken.

        Parameters
        ----------
        path
            In the repository.
        commit
            The commit that it must be of; None for the newest of the branch.
        """
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - takes a while

        def fetch() -> Path | None:
            found = hf_hub_download(
                self.name,
                path,
                repo_type=self.kind,
                revision=commit or self.revision,
                library_name="actstore",
                endpoint=self._api.endpoint,
            )
            return Path(found)

        with _quiet():
            return self._do(fetch, if_missing=lambda: None)

    @staticmethod
    def _operations(files: Mapping[str, Path | bytes]) -> Sequence[CommitOperationAdd]:
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

        return [
            CommitOperationAdd(path, data if isinstance(data, bytes) else str(data)) for path, data in files.items()
        ]

    def _do(
        self,
        act: Callable[[], _Result],
        *,
        if_missing: Callable[[], _Result] | None = None,
        retries: Retries | None = None,
    ) -> _Result:
        """Send a request, with retries, and translate its errors; their texts may hold signatures and tokens."""
        try:
            return (retries or self._retries).run(act, name=self.url, describe=describe_error)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, RuntimeError) else error  # around a failed upload
            if not isinstance(cause, backend_errors()):
                raise
            answer = answer_of(cause)
            if if_missing is not None and answer is not None and answer.status == _MISSING:
                return if_missing()
            if answer is not None and answer.status in _NO_ACCESS:
                raise StoreError(
                    f"{self.url}: the Hub refuses ({answer.status}): log in with 'hf auth login', or set HF_TOKEN to a "
                    "token that has access to this name; check the name, too"
                ) from None
            if answer is not None and answer.status == _OTHER_PARENT:
                raise StoreError(
                    f"{self.url}: somebody else wrote to branch {self.revision} meanwhile; what was sent is kept. Run "
                    "the same again when the other one is done, or publish to a branch of your own with --revision"
                ) from None
            raise StoreError(f"{self.url}: {describe_error(cause)}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and notices of huggingface_hub off the terminal: there are ours."""
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    log = logging.getLogger("huggingface_hub")
    shown, level = not are_progress_bars_disabled(), log.level
    disable_progress_bars()
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
        if shown:
            enable_progress_bars()
