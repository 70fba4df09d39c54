"""Object storage: a local directory, or anything fsspec reaches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from actstore.access.filesystems import backend_errors, describe_error
from actstore.access.fsspec import FsspecObjects
from actstore.access.hf import HfObjects, is_hub_repository
from actstore.access.http import open_http
from actstore.access.local import LocalObjects
from actstore.access.objects import ObjectStore
from actstore.access.partial_files import PARTIAL, is_partial
from actstore.access.retrying import Retries
from actstore.access.s3 import S3Objects, once
from actstore.access.storage_options import fsspec_options, is_path, is_s3, is_web
from actstore.errors import StoreError, UsageError
from actstore.redaction import keep_secret, shown_value

__all__ = ["PARTIAL", "FsspecObjects", "LocalObjects", "is_partial", "open_objects"]


def open_objects(uri: str | os.PathLike[str], storage_options: Mapping[str, Any] | None = None) -> ObjectStore:
    """Return the object store at a path or fsspec URL; nothing is created or read yet.

    Parameters
    ----------
    uri
        Path or URL.
    storage_options
        Passed to fsspec, except `attempts`: how often an operation is tried while the storage has transient
        failures. For S3 see also `fsspec_options`. Credentials belong here or in the environment.

    Raises
    ------
    StoreError
        If the URL's protocol is unknown, its package is not installed, or it does not take these options.
    UsageError
        If the URL holds credentials, is a chain to a web server, or the value of an option is wrong.
    """
    text = os.fspath(uri)
    given = storage_options or {}
    secrets = keep_secret(given)
    retries = _retries(given.get("attempts"))
    s3 = is_s3(text)
    options = fsspec_options(text, given)
    if is_web(text):
        return open_http(text, options, retries=retries, secrets=secrets)
    if s3:
        options = once(options)
    if is_path(text):  # also if it holds the `::` by which fsspec chains URLs
        return LocalObjects(Path(LocalFileSystem._strip_protocol(text)))  # noqa: SLF001 - how fsspec spells a path
    try:
        filesystem, root = url_to_fs(text, **options)
        if s3:
            filesystem.connect()  # finds wrong options; contacts no server except for credentials
    except Exception as error:
        if not isinstance(error, (ImportError, TypeError, ValueError, *backend_errors())):
            raise
        # Without the error itself: its text may hold credentials.
        raise StoreError(f"{text}: cannot be opened: {describe_error(error, secrets)}") from None
    if isinstance(filesystem, LocalFileSystem):
        return LocalObjects(Path(root))
    kind = S3Objects if s3 else HfObjects if is_hub_repository(text) else FsspecObjects
    return kind(filesystem, root, retries=retries, secrets=secrets)


def _retries(attempts: object) -> Retries:
    if attempts is None:
        return Retries()
    try:
        number = int(str(attempts))
    except ValueError:
        number = 0
    if number < 1:
        raise UsageError(f"storage option attempts = {shown_value(attempts)}: not a number of at least 1")
    return replace(Retries(), attempts=number)
