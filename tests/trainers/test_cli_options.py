"""Both commands have the same options, and the same words on the command line as in Python."""

import json
import signal
import subprocess
import time
from inspect import signature
from pathlib import Path

import pytest

from actstore import open_manifest
from tests.trainers.test_cli import ENVIRONMENT, command, trainer
from tests.trainers.workflows.test_rows import contents, without
from trainers.cli import online, read_from_store
from trainers.cli_options import MissingChoice
from trainers.workflows.options import RunOptions

OPTIONS = (
    "--site",
    "resid_post.3",
    "--batch-rows",
    512,
    "--latents",
    256,
    "--k",
    16,
    "--model-device",
    "cpu",
    "--json",
)


def test_the_commands_differ_only_in_what_makes_no_sense_online() -> None:
    stored, live = (signature(each).parameters for each in (read_from_store, online))
    assert stored.keys() - live.keys() == {"on_missing", "allow_incomplete"}
    assert not live.keys() - stored.keys()
    assert {name: stored[name].default for name in live} == {name: live[name].default for name in live}
    assert stored["on_missing"].default is MissingChoice.ERROR
    assert (stored["model_device"].default, stored["most_passes"].default) == (
        RunOptions().model_device,
        RunOptions().most_passes,
    )


def test_online_is_read_from_store(store: Path, tmp_path: Path) -> None:
    scores = []
    for name in ("read-from-store", "online"):
        done = trainer(name, store, *OPTIONS, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        scores.append((document["explained_variance"], document["rows"], document["l0"]))
        assert (document["live"] is None) == (name == "read-from-store")
    assert scores[0] == scores[1]


def test_what_cannot_be_computed_is_a_sentence(store: Path, tmp_path: Path) -> None:
    done = trainer("online", tmp_path / "nowhere.toml", cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    uniform = trainer("online", store, *OPTIONS, "--order", "uniform", cwd=tmp_path)
    assert uniform.returncode == 1
    assert "use order='windows', or extract the store first" in uniform.stderr


@pytest.mark.slow
def test_a_run_that_fills_a_store_is_killed_and_goes_on(store: Path, tmp_path: Path) -> None:
    partial = without(store, tmp_path / "partial", lambda _: True)
    fill = ("read-from-store", partial, *OPTIONS, "--on-missing", "store", "--out", "run", "--checkpoint-every", 1)
    with subprocess.Popen(
        command(*fill), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None and not list((partial / "commits").glob("*.json")):
            time.sleep(0.002)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL, "it finished before it could be killed"
    assert not open_manifest(partial).complete
    again = trainer(*fill[:-4], "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["live"]["store_complete"]
    assert contents(partial) == contents(store)
