"""Inspect: what a store holds, from its manifest alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from actstore.contracts.suggest import with_keyword_hints
from actstore.store.read.open import open_manifest
from actstore.view.reports import InspectReport, report_manifest

__all__ = ["inspect_store"]


@with_keyword_hints
def inspect_store(
    source: str | os.PathLike[str], *, uri: str | None = None, storage_options: Mapping[str, Any] | None = None
) -> InspectReport:
    """Describe a store, finished or not.

    Parameters
    ----------
    source
        Path or URL of a store, or an exported manifest file.
    uri
        Where the store of a manifest file is, if not where the file says.
    storage_options
        Passed to fsspec.

    Raises
    ------
    StoreNotFoundError
        If there is no store.
    """
    return report_manifest(open_manifest(source, uri=uri, storage_options=storage_options))
