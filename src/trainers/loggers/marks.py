"""What a logger has received so far, in a file beside its own: it is read when a run goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from trainers.save.files import open_to_append, refuse_link

__all__ = ["Marks"]

_MOST_BYTES: Final = 1 << 26


class Marks:
    """Steps that a logger has, as JSON lines; the first line may hold the name under which it knows the run.

    Parameters
    ----------
    folder
        Folder of the logger; made if absent.

    Raises
    ------
    OSError
        If the folder or the file is a symbolic link, or cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        refuse_link(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "logged.jsonl"
        refuse_link(path)
        self.run_id: str | None = None
        """The name; None for a run that the logger does not know yet."""
        self.step = 0
        """The last step."""
        cut = self._read(path)
        self._file = open_to_append(path)
        if cut:
            self._file.write(b"\n")

    def name(self, run_id: str) -> None:
        """Keep the name under which the logger knows the run."""
        self.run_id = run_id
        self._file.write((json.dumps({"id": run_id}) + "\n").encode())
        os.fsync(self._file.fileno())

    def add(self, step: int) -> None:
        """Keep a step; what is written survives a kill of the process."""
        self.step = step
        self._file.write(f'{{"step": {step}}}\n'.encode())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, path: Path) -> bool:
        """Read the file if there is one; return whether its last line was cut."""
        if not path.exists():
            return False
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        for line in data.splitlines():
            try:
                document = json.loads(line)
                self.run_id = str(document.get("id", self.run_id)) if "id" in document else self.run_id
                self.step = max(self.step, int(document.get("step", 0)))
            except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
                continue  # the last line of a killed run
        return bool(data) and not data.endswith(b"\n")
