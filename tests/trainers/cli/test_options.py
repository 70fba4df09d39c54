"""Both commands have the same options, and the same words on the command line as in Python."""

import json
import signal
import subprocess
import time
from inspect import signature
from pathlib import Path

import pytest

from actstore import extract_store, open_manifest, read_recipe
from tests.trainers.cli.test_app import ENVIRONMENT, command, trainer
from tests.trainers.workflows.test_rows import contents, without
from trainers.cli.app import online, read_from_store
from trainers.cli.options import MissingChoice
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
    assert live.keys() - stored.keys() == {"sequences", "settings"}  # of a recipe, which is not read from
    both = stored.keys() - {"on_missing"}
    assert {name: stored[name].default for name in both} == {name: live[name].default for name in both}
    assert (stored["on_missing"].default, live["on_missing"].default) == (MissingChoice.ERROR, MissingChoice.COMPUTE)
    assert (stored["model_device"].default, stored["most_passes"].default) == (
        RunOptions().model_device,
        RunOptions().most_passes,
    )


def test_online_is_read_from_store(store: Path, tmp_path: Path) -> None:
    scores = []
    for name, given in (("read-from-store", ()), ("online", ("--on-missing", "compute", "--allow-incomplete"))):
        done = trainer(name, store, *OPTIONS, *given, "--out", name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        scores.append((document["explained_variance"], document["rows"], document["l0"]))
        assert (document["live"] is None) == (name == "read-from-store")
    assert scores[0] == scores[1]


def test_what_cannot_be_computed_is_a_sentence(store: Path, tmp_path: Path) -> None:
    done = trainer("online", tmp_path / "nowhere.toml", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "nowhere.toml: cannot be read: No such file" in done.stderr
    fill = trainer("online", store, *OPTIONS, "--on-missing", "store", cwd=tmp_path)
    assert fill.returncode == 2
    assert "'trainer online' computes all rows and writes none" in fill.stderr
    uniform = trainer("online", store, *OPTIONS, "--order", "uniform", cwd=tmp_path)
    assert uniform.returncode == 1
    assert "use order='windows', or extract the store first" in uniform.stderr


def test_a_recipe_that_is_only_planned_is_trained_on_with_files(
    recipe_file: Path, small_fasta: Path, tmp_path: Path
) -> None:
    planned = tmp_path / "planned.toml"
    expected = "expected_sequences = 10, expected_lengths = 100"
    planned.write_text(recipe_file.read_text().replace(f'sequences = ["{small_fasta}"]', expected))
    stored = trainer("read-from-store", planned, cwd=tmp_path)
    assert stored.returncode == 2
    assert "planned.toml is a recipe, which has no rows" in stored.stderr
    assert "'trainer online RECIPE'" in stored.stderr
    unnamed = trainer("online", planned, *OPTIONS, cwd=tmp_path)
    assert unnamed.returncode == 2
    assert "--sequences FILE" in unnamed.stderr
    given = ("--sequences", small_fasta, "--set", "rows.fraction=0.5", "--steps", 2)
    done = trainer("online", planned, *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2


@pytest.mark.slow
def test_sigterm_takes_what_was_prepared_of_a_recipe_away(recipe_file: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside"
    aside.mkdir()
    with subprocess.Popen(
        command("online", recipe_file, *OPTIONS, "--steps", 100_000, "--out", "run"),
        cwd=tmp_path,
        env=ENVIRONMENT | {"TMPDIR": str(aside)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        while run.poll() is None and not (tmp_path / "run/metrics.jsonl").exists():
            time.sleep(0.002)
        assert list(aside.glob("actstore-online-*"))
        run.send_signal(signal.SIGTERM)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (143, b"")
    assert b"Traceback" not in err
    assert not list(aside.iterdir())


@pytest.mark.slow
def test_a_run_that_fills_a_store_is_killed_in_mid_epoch_and_resumes_to_the_same_weights(
    recipe_file: Path, tmp_path: Path
) -> None:
    """Small tasks, more than statistics take, and a buffer of a few of them."""
    small = {"store.task_rows": 256, "store.encoding": "float16"}
    extract_store(read_recipe(recipe_file, options=small), str(tmp_path / "whole"))
    partial, other = (without(tmp_path / "whole", tmp_path / name, lambda _: True) for name in ("partial", "other"))
    options = ("--on-missing", "store", "--buffer-bytes", 1 << 18, "--checkpoint-every", 1, "--batch-rows", 64)
    fill = ("read-from-store", partial, *OPTIONS, *options, "--out", "run")
    with subprocess.Popen(
        command(*fill), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None and not list((tmp_path / "run").glob("checkpoints/step-*2")):
            time.sleep(0.001)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL, "it finished before it could be killed"
    killed = open_manifest(partial)
    assert 0 < killed.tasks_done < killed.splits["train"].tasks
    resumed = trainer(*fill, "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["resumed_from_step"] >= 2
    assert contents(partial) == contents(tmp_path / "whole")
    unbroken = trainer("read-from-store", other, *OPTIONS, *options, "--out", "unbroken", cwd=tmp_path)
    assert unbroken.returncode == 0, unbroken.stderr
    newest = [max((tmp_path / name).glob("checkpoints/*/dictionary.safetensors")) for name in ("run", "unbroken")]
    assert newest[0].read_bytes() == newest[1].read_bytes()
    # Killed once more, between the last commit and the manifest.
    (partial / "manifest.json").unlink()
    again = trainer(*fill, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["live"]["store_complete"]
    assert contents(partial) == contents(tmp_path / "whole")


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
