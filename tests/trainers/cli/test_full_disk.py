"""A disk without room: said before training, or the trained weights are put elsewhere."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.trainers.cli.command import ENVIRONMENT, OPTIONS, command, trainer

DiskOf = Callable[[str], Path]


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[DiskOf]:
    """Return a file system in memory of a size."""
    with ExitStack() as stack:

        def make(size: str) -> Path:
            place = tmp_path / "disk"
            place.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
            done = subprocess.run(mount, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                pytest.skip(f"only root can make a small disk here: {done.stderr.strip()}")
            stack.callback(lambda: subprocess.run(["umount", "--lazy", place], check=True, capture_output=True))
            return place

        yield make


def test_a_disk_that_is_too_small_is_noticed_before_training(store: Path, tmp_path: Path, disk_of: DiskOf) -> None:
    place = disk_of("60k")
    done = trainer("read-from-store", store, *OPTIONS, "--out", place / "r", cwd=tmp_path)
    assert done.returncode == 1
    assert re.match(r"error: \S+/disk/r: no room for the checkpoints of this run: .* need [\d,]+ bytes", done.stderr)
    assert "Traceback" not in done.stderr
    assert not list(place.iterdir())


@pytest.mark.slow
def test_a_disk_that_gets_full_costs_nothing_that_was_trained(store: Path, tmp_path: Path, disk_of: DiskOf) -> None:
    place = disk_of("16m")
    (tmp_path / "spare").mkdir()
    options = ("--steps", 600, "--checkpoint-every", 200, "--out", place / "r")
    with subprocess.Popen(
        command("read-from-store", store, *OPTIONS, *options),
        cwd=tmp_path,
        env=ENVIRONMENT | {"TMPDIR": str(tmp_path / "spare")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        while run.poll() is None and not (place / "r/metrics.jsonl").exists():
            time.sleep(0.002)
        with (place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        _, err = run.communicate(timeout=120)
    assert run.returncode == 1
    assert "Traceback" not in err
    assert re.search(r"error: \S+/disk/r: cannot be written: .*No space left on device", err)
    said = re.search(r"Step ([\d,]+) is saved in (\S+) instead; go on with: trainer (.*) --out FOLDER", err)
    assert said is not None, err
    resumed = trainer(*shlex.split(said[3]), "--out", "rest", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    document = json.loads(resumed.stdout)
    assert (document["resumed_from_step"], document["steps"]) == (int(said[1].replace(",", "")), 600)
