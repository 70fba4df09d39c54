"""Files to import that somebody prepared: the command ends with one message, and nothing in them is run or followed."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.actstore.cli.command import Outcome, actstore
from tests.actstore.intake.made import SOURCES
from tests.hostile.commands import within

MUTATIONS = 6


def ends_well(place: Path, store: Path, source_format: str) -> Outcome:
    shutil.rmtree(store, ignore_errors=True)
    with within(30):
        done = actstore("import", place, store, f"--format={source_format}", "--quiet", "--set=store.task_rows=1024")
    assert done.code in {0, 1, 2}, done
    assert (done.out + done.err).replace("\n", "").isprintable(), done
    assert done.code == 0 or "error: " in done.err, done
    return done


def mutations(sound: bytes) -> Iterator[bytes]:
    """Yield files with a few bytes changed, most of them where headers are, cut off, or empty."""
    rng = np.random.default_rng(0)
    for number in range(MUTATIONS):
        spoilt = bytearray(sound)
        for place in rng.integers(0, min(len(sound), 400 if number % 2 else len(sound)), 3).tolist():
            spoilt[place] = int(rng.integers(256))
        yield bytes(spoilt)
    yield sound[: len(sound) // 2]
    yield b""


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_files_that_are_damaged_or_lie(kind: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    made = SOURCES[kind](tmp_path / "source")
    for path in sorted(path for path in (tmp_path / "source").rglob("*") if path.is_file())[:3]:
        sound = path.read_bytes()
        for spoilt in mutations(sound):
            path.unlink()  # an earlier run may have the file mapped
            path.write_bytes(spoilt)
            ends_well(made.place, tmp_path / "store", made.format)
        path.unlink()
        path.write_bytes(sound)
    assert ends_well(made.place, tmp_path / "store", made.format).code == 0


def pipe(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def nowhere(path: Path) -> None:
    path.symlink_to("/nowhere")


@pytest.mark.parametrize("put", [pipe, folder, nowhere])
@pytest.mark.parametrize("kind", SOURCES)
def test_something_else_in_the_place_of_a_file(kind: str, put: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    made = SOURCES[kind](tmp_path / "source")
    for path in sorted(path for path in (tmp_path / "source").rglob("*") if path.is_file())[:2]:
        sound = path.read_bytes()
        path.unlink()
        put(path)
        ends_well(made.place, tmp_path / "store", made.format)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.write_bytes(sound)


def test_names_of_files_are_shown_safely(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    np.save(tmp_path / "source/\x1b[2J.npy", np.ones((300, 4), dtype=np.float32) * np.arange(300)[:, None])
    done = ends_well(tmp_path / "source", tmp_path / "store", "npy")
    assert done.code == 0
    shown = actstore("rows", tmp_path / "store", "--rows=0-3", "--quiet")
    assert r"\x1b[2J.npy[" in shown.out
    assert "\x1b" not in shown.out


def test_a_file_of_four_numbers_that_claims_to_have_many(tmp_path: Path) -> None:
    """Sparse, so that the bytes are there: nothing is allocated for all of them."""
    header = np.lib.format.header_data_from_array_1_0(np.ones((1, 1024), dtype=np.float32))
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (1 << 22, 1024)})
        file.truncate(file.tell() + (1 << 34) - 1)
    done = ends_well(tmp_path / "a.npy", tmp_path / "store", "npy")
    assert done.code == 1
    assert "cut off" in done.err
