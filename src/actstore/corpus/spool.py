"""Texts of a corpus in one flat file on local disk, read back by index."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Self

from actstore.errors import CorpusError

__all__ = ["FlatTexts"]


class FlatTexts:
    """An append-only list of texts: bytes in a file, offsets (8 bytes each) in memory.

    The file has no name: it disappears with `close`, or when the process ends in any way. Reads are positioned
    reads, served by the page cache and safe from several threads at once.

    Parameters
    ----------
    directory
        Directory of the file; created if it does not exist. None for the system's temporary directory.
    """

    __slots__ = ("_directory", "_file", "_stops")

    def __init__(self, directory: Path | None) -> None:
        self._directory = Path(tempfile.gettempdir()) if directory is None else directory
        self._stops = array("q", [0])
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._directory, buffering=0)  # noqa: SIM115 - closed by `close`
        except OSError as error:
            raise self._unusable(error) from error

    def __len__(self) -> int:
        return len(self._stops) - 1

    def __getitem__(self, index: int) -> str:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of a corpus of {len(self)}")
        start, stop = self._stops[index], self._stops[index + 1]
        return os.pread(self._file.fileno(), stop - start, start).decode()

    def extend(self, texts: Sequence[str]) -> None:
        """Append texts.

        Raises
        ------
        CorpusError
            If the disk is full or the directory is gone.
        """
        content = "".join(texts)
        byte_counts = map(len, texts) if content.isascii() else (len(text.encode()) for text in texts)
        unwritten = memoryview(content.encode())
        try:
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]
        except OSError as error:
            raise self._unusable(error) from error
        self._stops.extend(islice(accumulate(byte_counts, initial=self._stops[-1]), 1, None))

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _unusable(self, error: OSError) -> CorpusError:
        return CorpusError(
            f"{self._directory}: cannot hold the sequences while they are in use: {error}; "
            "choose a local directory with room for them"
        )
