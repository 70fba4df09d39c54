"""The command line as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest

from trainers.cli.app import OrderChoice, read_from_store
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from trainers.cli import main; main()", *map(str, arguments)]


def trainer(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )


SHOW_HELP = """
import sys
from trainers.cli import main
sys.argv[1:] = ["--help"]
try:
    main()
finally:
    print("torch" in sys.modules)
"""


def test_help_teaches_by_example_and_does_not_wait_for_torch() -> None:
    done = subprocess.run([sys.executable, "-c", SHOW_HELP], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert "trainer read-from-store STORE --dictionary none" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"


def test_json_is_one_document_on_standard_output(store: Path, tmp_path: Path) -> None:
    done = trainer("read-from-store", store, "--site", "resid_post.3", "--steps", 3, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert {"rows", "rows_per_s", "wait_share", "megabytes_per_s", "seconds"} <= document.keys()
    assert (document["order"], document["path"]) == ("windows", "mapped")
    assert {"distinct_ratio", "neighbours", "serial_correlation"} <= document["mixing"].keys()
    assert {"explained_variance", "explained_variance_per_site", "l0", "dead_fraction", "steps"} <= document.keys()
    assert (document["dictionary"], document["latents"], document["k"]) == ("topk-sae", 1024, 32)
    assert document["out"] == "runs/topk-sae-resid_post.3-seed0"
    assert (tmp_path / document["checkpoint"] / "checkpoint.json").is_file()
    assert "training topk-sae" in done.stderr


def test_without_json_it_is_a_table(store: Path, tmp_path: Path) -> None:
    done = trainer("read-from-store", store, "--dictionary", "none", "--batch-rows", 256, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "distinct_ratio" in done.stdout
    assert "windows" in done.stdout
    assert not list(tmp_path.iterdir())


def test_wrong_requests_exit_with_2_and_say_what_is_right(store: Path, tmp_path: Path) -> None:
    several = trainer("read-from-store", store, cwd=tmp_path)
    assert (several.returncode, several.stdout) == (2, "")
    assert "choose one with --site: resid_post.0, resid_post.3" in several.stderr
    assert trainer("read-from-store", store, "--site", "resid_post.9", cwd=tmp_path).returncode == 2
    assert trainer("read-from-store", store, "--dictionary", "abacus", cwd=tmp_path).returncode == 2


def test_a_store_that_is_not_there_exits_with_1(tmp_path: Path) -> None:
    done = trainer("read-from-store", tmp_path / "nowhere", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_a_sentence(store: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = ("--site", "resid_post.3", "--steps", 2, "--out", "file/run", "--quiet")
    done = trainer("read-from-store", store, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: file/run: cannot be written")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_run_killed_at_any_moment_resumes_to_the_same_weights(store: Path, tmp_path: Path) -> None:
    options = ("--dictionary", "crosscoder-topk", "--batch-rows", 256, "--latents", 256, "--steps", 60)
    arguments = ("read-from-store", store, *options, "--checkpoint-every", 1, "--json", "--out")
    whole = trainer(*arguments, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    metrics = tmp_path / "killed" / "metrics.jsonl"
    with subprocess.Popen(
        command(*arguments, "killed"), cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < 5):
            time.sleep(0.005)
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL, "it finished before it could be killed"
    resumed = trainer(*arguments, "killed", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert 0 < json.loads(resumed.stdout)["resumed_from_step"] < 60
    weights = "checkpoints/step-000000060/dictionary.safetensors"
    assert (tmp_path / "killed" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    assert [json.loads(line)["step"] for line in metrics.read_text().splitlines()] == list(range(1, 61))


def test_rows_can_come_in_a_true_permutation(store: Path, tmp_path: Path) -> None:
    options = ("--dictionary", "none", "--batch-rows", 256, "--order", "uniform", "--json")
    done = trainer("read-from-store", store, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["order"], document["path"]) == ("uniform", "mapped")


def test_choices_of_the_command_line_are_those_of_the_config() -> None:
    assert {choice.value for choice in OrderChoice} == set(get_args(TrainConfig.model_fields["order"].annotation))


def test_defaults_of_the_command_line_are_those_of_the_config() -> None:
    command_line = {name: option.default for name, option in signature(read_from_store).parameters.items()}
    config = {name: field.default for name, field in TrainConfig.model_fields.items() if name in command_line}
    assert {name: command_line[name] for name in config} == config
    options = RunOptions()
    for name in ("out", "resume", "device", "buffer_bytes", "checkpoint_every", "allow_incomplete"):
        assert command_line[name] == getattr(options, name)
