"""The suite finds the mistakes it is there for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from actstore.access.objects import ObjectStore
from actstore.access.open import LocalObjects
from actstore.errors import MissingObjectError
from actstore.testing import conformance_objects as suite


class ReplacesAlways(LocalObjects):
    """Takes `put_new` for `put`."""

    def put_new(self, path: str, data: bytes) -> bool:
        self.put(path, data)
        return True


class LooksThenWrites(LocalObjects):
    """Creates an object if there is none, in two steps."""

    def put_new(self, path: str, data: bytes) -> bool:
        if path in self.sizes():
            return False
        time.sleep(0.001)
        self.put(path, data)
        return True


class WritesInPlace(LocalObjects):
    """Opens the object itself for writing."""

    def put(self, path: str, data: bytes) -> None:
        target = self.local_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb", buffering=0) as file:
            for start in range(0, len(data), 4096):
                file.write(data[start : start + 4096])


class EmptyWhereMissing(LocalObjects):
    """Thinks that what is not there is empty."""

    def get(self, path: str) -> bytes:
        try:
            return super().get(path)
        except MissingObjectError:
            return b""


class OffByOne(LocalObjects):
    """Takes the end of a range for its last byte."""

    def get_range(self, path: str, start: int, stop: int) -> bytes:
        return super().get_range(path, start, stop + 1)


class CountsWhatWasAskedFor(LocalObjects):
    """Says that memory is full whatever there was."""

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        super().read_into(path, start, into)
        return len(into)


class ReadsFromTheBeginning(LocalObjects):
    """Overlooks where to begin."""

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        return super().read_into(path, 0, into)


class NothingWhereMissing(LocalObjects):
    """Thinks that an object that is not there has no bytes."""

    def read_into(self, path: str, start: int, into: memoryview) -> int:
        try:
            return super().read_into(path, start, into)
        except MissingObjectError:
            return 0


class PrefixIsText(LocalObjects):
    """Compares prefixes letter by letter, not folder by folder."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        return {path: size for path, size in super().sizes().items() if path.startswith(prefix)}


class ListsTopOnly(LocalObjects):
    """Does not look into folders."""

    def sizes(self, prefix: str = "") -> dict[str, int]:
        return {path: size for path, size in super().sizes(prefix).items() if path.count("/") < 2}


class MovesFiles(LocalObjects):
    """Takes a local file away."""

    def put_file(self, path: str, local: Path) -> None:
        super().put_file(path, local)
        local.unlink()


class AlwaysFromTheStart(LocalObjects):
    """Opens another object than asked for."""

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        self.put("other", b"other")
        with super().open("other" if path in self.sizes() else path) as file:
            yield file


@pytest.mark.parametrize(
    ("broken", "finds"),
    [
        (ReplacesAlways, suite.check_put_new_creates_only),
        (ReplacesAlways, suite.check_put_new_has_one_winner),
        (LooksThenWrites, suite.check_put_new_has_one_winner),
        (WritesInPlace, suite.check_reads_are_never_torn),
        (EmptyWhereMissing, suite.check_missing_objects),
        (NothingWhereMissing, suite.check_missing_objects),
        (OffByOne, suite.check_ranges),
        (CountsWhatWasAskedFor, suite.check_read_into),
        (ReadsFromTheBeginning, suite.check_read_into),
        (PrefixIsText, suite.check_sizes),
        (ListsTopOnly, suite.check_writers_do_not_disturb_each_other),
        (MovesFiles, suite.check_put_file),
        (AlwaysFromTheStart, suite.check_open_seeks),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, broken: type[LocalObjects], finds: Callable[[ObjectStore], None]) -> None:
    with pytest.raises((AssertionError, OSError)):
        finds(broken(tmp_path))


def test_every_check_is_in_the_table() -> None:
    checks = {name for name in suite.__all__ if name.startswith("check_")}
    assert {check.__name__ for check in suite.OBJECT_CHECKS} == checks
