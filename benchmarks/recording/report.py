"""Where benchmark results go: JSON beside the scripts, with the machine, its load and the commit they are of.

A benchmark begins a `Recording` before it measures and hands it the results at the end. Results that
`benchmarks.recording.quiet` does not trust are printed in full and not written.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.recording.quiet import REPOSITORY, NotTrustworthyError, Watch, commit_of, refuse_dirty

__all__ = ["RESULTS", "Recording", "add_look_only", "machine"]

RESULTS: Final = Path(__file__).parents[1] / "results"


def add_look_only(parser: argparse.ArgumentParser) -> None:
    """Add the option `--no-write`."""
    parser.add_argument(
        "--no-write",
        action="store_true",
        help="look only: print the figures, on a busy machine and with uncommitted changes too, and write nothing",
    )


class Recording:
    """One run of a benchmark, from before it measures to its results.

    Parameters
    ----------
    name
        Results go to `results/<name>.json`.
    look_only
        Print the results, write nothing and refuse nothing.
    timed
        Whether a figure is a time, or depends on one: such a run needs the machine to itself.
    watch
        Begins to watch the machine.
    repository
        Whose commit is measured.
    results
        The folder that is written to.

    Raises
    ------
    SystemExit
        If the results could not be written: other work runs on the machine, or the tree is not that of a commit.
    """

    def __init__(
        self,
        name: str,
        *,
        look_only: bool,
        timed: bool = True,
        watch: Callable[[], Watch] = Watch,
        repository: Path = REPOSITORY,
        results: Path = RESULTS,
    ) -> None:
        self._name, self._look_only, self._timed = name, look_only, timed
        self._repository, self._results = repository, results
        self._commit = commit_of(repository)
        if not look_only:
            self._or_exit(lambda: refuse_dirty(repository))
        self.watch = watch()
        if timed and not look_only:
            self._or_exit(self.watch.refuse_load_before)

    def finish(self, results: dict[str, Any], *, long: Collection[str] = ()) -> Path | None:
        """Write the results, and print them but for the fields in `long`; return where they are.

        Raises
        ------
        SystemExit
            If they must not be written. They have all been printed then.
        """
        load = self.watch.record()
        document = {"machine": machine(), "commit": self._commit, "load": load, **results}
        if self._look_only:
            print(json.dumps(document, indent=2))
            return None
        try:
            if self._timed:
                self.watch.refuse_foreign()
            self._refuse_changed_commit()
        except NotTrustworthyError as error:
            print(json.dumps(document, indent=2), flush=True)
            sys.exit(f"{self._name}: the figures above are not written: {error}")
        self._results.mkdir(exist_ok=True)
        path = self._results / f"{self._name}.json"
        path.write_text(json.dumps(document, indent=2) + "\n")
        print(json.dumps({field: value for field, value in results.items() if field not in long}, indent=2))
        print(f"{self._name}: written to {path}", file=sys.stderr)
        return path

    def _refuse_changed_commit(self) -> None:
        refuse_dirty(self._repository)
        now = commit_of(self._repository)
        if now != self._commit:
            raise NotTrustworthyError(
                f"commit {self._commit} was checked out before the run and {now} after it, where one is allowed; leave "
                "the working tree alone and run again"
            )

    def _or_exit(self, check: Callable[[], None]) -> None:
        try:
            check()
        except NotTrustworthyError as error:
            sys.exit(f"{self._name}: nothing was measured: {error}")


def machine() -> dict[str, Any]:
    """Describe the machine without naming it."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "zarr": version("zarr"),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
