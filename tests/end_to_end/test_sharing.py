"""People who share a bucket and a manifest file, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.services.gateway import ACCESS_KEY, SECRET_KEY, Gateway

pytestmark = [pytest.mark.s3, pytest.mark.slow]

TRAINING = (
    *("--dictionary=topk-sae", "--site=resid_post.3", "--latents=256", "--k=16"),
    *("--batch-rows=512", "--steps=20", "--device=cpu", "--json"),
)


def _access_to(gateway: Gateway) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": gateway.url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


class Person(NamedTuple):
    """A home, a folder and an environment of one's own."""

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder: Path, gateway: Gateway) -> "Person":
        (folder / "home").mkdir(parents=True)
        (folder / "tmp").mkdir()
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "LANG"}}
        own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        return cls(folder, kept | own | _access_to(gateway))

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        module = {"actstore": "actstore.cli", "trainer": "trainers.cli"}[program]
        command = [sys.executable, "-c", f"from {module} import main; main()", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=280, check=False
        )

    def train(self, source: str, out: str) -> dict[str, Any]:
        done = self.run("trainer", "read-from-store", source, *TRAINING, "--out", out)
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def weights(self, run: dict[str, Any]) -> bytes:
        return Path(self.folder, run["checkpoint"], "dictionary.safetensors").read_bytes()


def test_two_people_train_the_same_dictionary_and_again_after_the_store_has_moved(
    gateway: Gateway, small_fasta: Path, esm2_tiny: Path, tmp_path: Path
) -> None:
    owner, colleague = (Person.at(tmp_path / name, gateway) for name in ("owner", "colleague"))
    old, new = (f"s3://{gateway.new_bucket()}/{name}" for name in ("esm2", "moved/esm2"))
    made = owner.run(
        "actstore", "extract", "--quiet", "--model", esm2_tiny, "--sequences", small_fasta, "--store", old,
        "--site", "resid_post.0,resid_post.3", "--set", "store.task_rows=2048", "--device=cpu",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert owner.run("actstore", "manifest", "export", old, "-o", "esm2.json").returncode == 0
    shutil.copy(owner.folder / "esm2.json", colleague.folder / "esm2.json")

    first, second = owner.train("esm2.json", "run"), colleague.train("esm2.json", "run")
    assert first["explained_variance"] == second["explained_variance"]
    assert owner.weights(first) == colleague.weights(second)

    moved = owner.run("actstore", "copy", old, new, "--quiet")
    assert moved.returncode == 0, moved.stderr
    client = gateway.client()
    client.rm(old.removeprefix("s3://"), recursive=True)
    lost = colleague.run("trainer", "read-from-store", "esm2.json", *TRAINING, "--out", "lost")
    assert (lost.returncode, lost.stdout) == (1, "")
    assert old in lost.stderr
    tried = colleague.run("trainer", "read-from-store", "esm2.json", "--uri", new, *TRAINING, "--out", "tried")
    assert tried.returncode == 0, tried.stderr

    told = colleague.run("actstore", "manifest", "relocate", "esm2.json", "--uri", new)
    assert told.returncode == 0, told.stderr
    third = colleague.train("esm2.json", "again")
    assert third["explained_variance"] == first["explained_variance"]
    assert colleague.weights(third) == owner.weights(first)
    resumed = colleague.run("trainer", "read-from-store", "--resume", "again", "--steps", 30, "--json")
    assert resumed.returncode == 0, resumed.stderr


def test_one_site_of_a_bucket_comes_to_a_laptop(
    gateway: Gateway, small_fasta: Path, esm2_tiny: Path, tmp_path: Path
) -> None:
    owner, laptop = (Person.at(tmp_path / name, gateway) for name in ("owner", "laptop"))
    place = f"s3://{gateway.new_bucket()}/esm2"
    made = owner.run(
        "actstore", "extract", "--quiet", "--model", esm2_tiny, "--sequences", small_fasta, "--store", place,
        "--site", "resid_post.*,embed,final_norm", "--set", "store.task_rows=2048", "--device=cpu",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    copied = laptop.run("actstore", "copy", place, "two-sites", "--site", "resid_post.0,resid_post.3", "--json")
    assert copied.returncode == 0, copied.stderr
    assert json.loads(copied.stdout)["sites"] == ["resid_post.0", "resid_post.3"]
    assert sorted(path.name for path in (laptop.folder / "two-sites/sites").iterdir() if path.is_dir()) == [
        "resid_post.0",
        "resid_post.3",
    ]
    verified = laptop.run("actstore", "verify", "two-sites", "--json")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["recomputed_rows"] == 64
    run, wanted = laptop.train("two-sites", "run"), owner.train(place, "run")
    assert laptop.weights(run) == owner.weights(wanted)
