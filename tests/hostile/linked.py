"""Stores in which somebody has put symbolic links, and the commands that must touch nothing behind them.

A new way to link is one row of `LINKS`; a new command is one row of `COMMANDS`. `outside` says what must not change.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from actstore.access.open import LocalObjects
from actstore.testing.fake_model import FakeModel
from actstore.workflows.care.collect import collect_garbage
from actstore.workflows.care.repair import repair_with
from actstore.workflows.care.verify import verify_store
from actstore.workflows.export_manifest import export_manifest
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store

__all__ = [
    "COMMANDS",
    "LINKS",
    "READERS",
    "BrokenLink",
    "Command",
    "Link",
    "MovedAway",
    "Victim",
    "make_old",
    "outside",
]

LONG_AGO_NS: Final = 10**18
SPOILED: Final = ("sites/embed/values/c/1/0", "rows/token/c/1", "statistics/count/c/1/0", "sites/zarr.json")


@dataclass(frozen=True)
class MovedAway:
    """A file or folder that lies elsewhere, with a link in its place."""

    path: str

    def __call__(self, store: Path, elsewhere: Path) -> None:
        """Move it there; if the store does not have it, link to a file of somebody."""
        target = elsewhere / self.path.replace("/", "_")
        if (store / self.path).exists():
            shutil.move(store / self.path, target)
        else:
            target.write_bytes(b"somebody's")
        (store / self.path).symlink_to(target)


@dataclass(frozen=True)
class BrokenLink:
    """A link to nowhere, or in a circle, in the place of a file or folder."""

    path: str
    in_circle: bool

    def __call__(self, store: Path, elsewhere: Path) -> None:
        """Put it there."""
        place = store / self.path
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        place.symlink_to(place.name if self.in_circle else elsewhere / "gone")


@dataclass(frozen=True)
class Victim:
    """A folder of somebody with files as a writer names them, and with others, in the place of a store's folder."""

    path: str

    def __call__(self, store: Path, elsewhere: Path) -> None:
        """Put a link to it there."""
        dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
        dead.wait()
        folder = elsewhere / "victim"
        folder.mkdir()
        host = socket.gethostname()
        for name in (
            f"{host}-{dead.pid}-0badcafe.0123456789abcdef",
            f"{host}-{dead.pid}-thesis",
            "another-host-1-0badcafe.0123456789abcdef",
            "thesis.tex",
            "0.json",
            "99.json",
        ):
            (folder / name).write_bytes(b"somebody's")
        if (store / self.path).exists():
            shutil.rmtree(store / self.path)
        (store / self.path).symlink_to(folder)


Link = Callable[[Path, Path], None]

_FOLDERS: Final = (
    "commits",
    "sites",
    "sites/embed",
    "sites/embed/values",
    "sites/embed/values/c",
    "sites/embed/values/c/1",
    "rows",
    "statistics/count/c",
)
_FILES: Final = ("manifest.json", "recipe.json", "sequences.parquet", "zarr.json", "commits/1.json", "rows/token/c/1")
_BROKEN: Final = (".partial", "commits", "sites/embed/values", "rows/token/c/1", "commits/1.json", "manifest.json")

LINKS: Final[Mapping[str, Link]] = {
    **{f"{path} elsewhere": MovedAway(path) for path in (*_FOLDERS, *_FILES)},
    **{f"{path} to nowhere": BrokenLink(path, in_circle=False) for path in (*_BROKEN, "recipe.json")},
    **{f"{path} in a circle": BrokenLink(path, in_circle=True) for path in (*_BROKEN, "recipe.json")},
    **{f"{path} to a victim": Victim(path) for path in (".partial", "commits", "sites/embed/values/c", "statistics")},
}
"""Ways to put a link into a store."""


class Command(NamedTuple):
    """A command, and the state of a store in which it has something to do."""

    prepare: Callable[[Path], None]
    run: Callable[[Path], object]


def _complete(store: Path) -> None:
    """Leave a store as it is."""


def _damaged(store: Path) -> None:
    """Damage an object of each kind, and add a commit that is surplus."""
    for path in SPOILED:
        (store / path).write_bytes((store / path).read_bytes()[:-1] + b"!")
    shutil.copy(store / "commits" / "1.json", store / "commits" / "99.json")


def _unfinished(store: Path) -> None:
    """Forget that a task was done."""
    for path in ("manifest.json", "commits/1.json"):
        (store / path).unlink()


COMMANDS: Final[Mapping[str, Command]] = {
    "extract": Command(_unfinished, lambda store: extract_with(FakeModel(), LocalObjects(store), None)),
    "gc --delete": Command(_unfinished, lambda store: collect_garbage(str(store), delete=True, older_than_s=0)),
    "repair": Command(_damaged, lambda store: repair_with(lambda _frozen: FakeModel(), LocalObjects(store))),
    "repair --rewrite": Command(
        _damaged, lambda store: repair_with(lambda _frozen: FakeModel(), LocalObjects(store), rewrite=True)
    ),
    "verify": Command(_damaged, lambda store: verify_store(str(store), recompute=False)),
    "inspect": Command(_complete, inspect_store),
    "manifest export": Command(_complete, lambda store: export_manifest(store, store.with_name("exported.json"))),
}
"""Every command that opens a store. It may end with an error of ours, and with no other."""

READERS: Final[Mapping[str, Command]] = {
    name: Command(_complete, COMMANDS[name].run) for name in ("verify", "inspect", "manifest export")
}
"""Commands that write nothing into a store."""


def outside(elsewhere: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return content, time and mode of everything in a folder; the time of a folder is that of its last new name."""
    return {
        path.relative_to(elsewhere).as_posix(): (
            path.read_bytes() if path.is_file() else b"",
            path.lstat().st_mtime_ns,
            path.lstat().st_mode,
        )
        for path in (elsewhere, *sorted(elsewhere.rglob("*")))
    }


def make_old(elsewhere: Path) -> None:
    """Make everything in a folder old enough to be removed."""
    for path in sorted(elsewhere.rglob("*"), reverse=True):
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS), follow_symlinks=False)
