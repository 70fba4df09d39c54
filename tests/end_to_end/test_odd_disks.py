"""Whole commands on disks that have no hard links and cannot flush folders, as external disks and bucket mounts do."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.odd_disk import on_odd_disk

PROTEINS = Path(__file__).parents[1] / "data" / "odd" / "n5.fasta"
REFUSED = {"link": errno.EPERM, "rename": errno.EINVAL, "folder_fsync": errno.EINVAL}


def run(program: str, *arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from {program}.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_store_is_extracted_checked_and_trained_on(odd_disk: Path, esm2_tiny: Path, tmp_path: Path) -> None:
    env, store = on_odd_disk(odd_disk, **REFUSED), tmp_path / "store"
    options = ("--quiet", "--json")
    recipe = (f"--model={esm2_tiny}", f"--sequences={PROTEINS}", "--set", "splits.fractions={train=1.0}")
    done = run("actstore", "extract", *recipe, f"--store={store}", *options, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["complete"]
    assert run("actstore", "verify", store, *options, env=env).returncode == 0
    training = ("--site=resid_post.3", "--steps=4", "--batch-rows=32", f"--out={tmp_path / 'run'}")
    trained = run("trainers", "read-from-store", store, *training, *options, env=env)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert list((tmp_path / "run").rglob("*.safetensors"))
