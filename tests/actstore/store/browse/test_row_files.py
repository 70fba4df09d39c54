"""Half a file is not left behind; formats are in `tests/actstore/workflows/test_rows.py`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actstore.errors import UsageError
from actstore.store.browse import row_files as module
from actstore.store.browse.row_files import check_row_file, write_rows
from actstore.store.browse.store import open_store

StoreOf = Callable[..., Path]


def test_a_writer_that_fails_leaves_nothing(store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_found: Any, file: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "FORMATS", {".csv": fail})
    with open_store(store_of()) as store, pytest.raises(UsageError, match="cannot be written: No space left on device"):
        write_rows(store[0], tmp_path / "rows.csv")
    assert list(tmp_path.iterdir()) == []


def test_it_is_known_before_whether_a_file_can_be_made(tmp_path: Path) -> None:
    check_row_file(tmp_path / "new.npz")
    (tmp_path / "old.npz").touch()
    for name in ("old.npz", "new.txt", "new"):
        with pytest.raises(UsageError):
            check_row_file(tmp_path / name)


def test_nothing_is_written_into_a_store(store_of: StoreOf) -> None:
    for path in (store_of() / "rows.csv", store_of() / "rows" / "new.csv"):
        with pytest.raises(UsageError, match="lies in the store"):
            check_row_file(path)
