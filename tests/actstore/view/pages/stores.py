"""What the page of a store is made of, for tests."""

import re
from pathlib import Path

from actstore.contracts.progress import Silent
from actstore.store.read.open import locate_store
from actstore.view.pages.store_facts import StoreFacts
from actstore.workflows.describe import describe_store

__all__ = ["cells", "facts_of"]


def facts_of(store: Path) -> StoreFacts:
    """Collect it from a real store."""
    return describe_store(*locate_store(store), progress=Silent())


def cells(page: str) -> list[list[str]]:
    """Return the texts of the cells of each row of each table."""
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", page, re.DOTALL)
    return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)] for row in rows]
