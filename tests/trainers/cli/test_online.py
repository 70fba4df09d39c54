"""The command as a user meets it, beside `read-from-store`."""

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.trainers.cli.command import ENVIRONMENT, OPTIONS, command, trainer


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
    given = ("--sequences", small_fasta, "--set", "rows.fraction=0.5", "--set", "train.steps=2", "--out", "run")
    done = trainer("online", planned, *OPTIONS, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2
    recorded = json.loads((tmp_path / "run/run.json").read_text())["options"]["recipe_options"]
    assert recorded == {"corpus.sequences": [str(small_fasta)], "rows.fraction": 0.5}


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
    assert not [path for path in aside.iterdir() if not path.name.startswith("torchinductor_")]  # a cache of torch
