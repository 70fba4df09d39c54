"""`trainer sweep` in a process of its own: it says what it does, stops in good order, and goes on."""

import json
import re
import shlex
import signal
from inspect import signature
from pathlib import Path

import pytest

from tests.trainers.cli.command import kill_when, stop_when, trainer
from trainers.cli.sweep import sweep
from trainers.save.checkpoint import newest_checkpoint
from trainers.workflows.options import RunOptions

SWEEP = """
sites = "resid_post.3"
batch_rows = 256
latents = 64
steps = {steps}

[[grid]]
dictionary = ["topk-sae"]
k = [4, 8]

[[grid]]
dictionary = ["relu-sae"]
sparsity = [0.05]
"""
NAMES = ("topk-sae-k4", "topk-sae-k8", "relu-sae")


def write(folder: Path, steps: int, more: str = "") -> None:
    (folder / "sweep.toml").write_text(SWEEP.format(steps=steps) + more)


def steps_logged(member: Path) -> int:
    metrics = member / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def weights(folder: Path) -> dict[str, bytes]:
    newest = {name: newest_checkpoint(folder / name / "checkpoints") for name in NAMES}
    return {name: (path / "dictionary.safetensors").read_bytes() for name, path in newest.items() if path is not None}


def test_defaults_of_the_command_line_are_those_of_a_run() -> None:
    given = {name: option.default for name, option in signature(sweep).parameters.items()}
    options = RunOptions()
    for name in ("out", "resume", "device", "buffer_bytes", "checkpoint_every", "keep", "eval_every", "cache"):
        assert given[name] == getattr(options, name)


def test_it_says_what_is_read_together_and_shows_what_came_out(store: Path, tmp_path: Path) -> None:
    write(tmp_path, 20, "[[member]]\nname = 'wild'\nlr = 1e6\n")
    done = trainer("sweep", store, "sweep.toml", "--device", "cpu", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search(r"^4 dictionaries; the rows are read once:$", done.stderr, re.MULTILINE)
    assert re.search(
        r"  pass 1: 4 on resid_post.3, about 0\.\d\d GB: topk-sae-k4, .*, wild$", done.stderr, re.MULTILINE
    )
    assert re.search(r"^error: wild: ", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
    assert all(name in done.stdout for name in NAMES)
    out = tmp_path / f"runs/{store.name}-sweep"
    assert (out / "result.json").exists()
    again = trainer("sweep", store, "sweep.toml", "--device", "cpu", "--json", "--quiet", cwd=tmp_path)
    document = json.loads(again.stdout)
    assert (again.returncode, document["finished"], list(document["failed"])) == (1, 3, ["wild"])
    assert document["passes"][0]["sites"] == ["resid_post.3"]
    page = trainer("report", out, "--html", "report.html", "--json", cwd=tmp_path)
    assert page.returncode == 0, page.stderr
    assert json.loads(page.stdout)["runs"][3]["state"] in {"failed", "worse than the mean"}
    assert "Fidelity by sparsity" in (tmp_path / "report.html").read_text("utf-8")
    table = trainer("report", out, cwd=tmp_path)
    assert "Settings in which they differ:" in table.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_goes_on_as_if_it_had_never_stopped(
    number: signal.Signals, code: int, store: Path, tmp_path: Path
) -> None:
    write(tmp_path, 400)
    arguments = ("sweep", store, "sweep.toml", "--device", "cpu", "--checkpoint-every", 1000, "--out")
    whole = trainer(*arguments, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    left = stop_when(lambda: steps_logged(tmp_path / "half/relu-sae") >= 20, number, *arguments, "half", cwd=tmp_path)
    assert (left.code, left.out) == (code, "")
    assert left.seconds < 5
    printed = re.search(r"^go on with: trainer (.*)$", left.err, re.MULTILINE)
    assert printed is not None, left.err
    steps = {newest_checkpoint(tmp_path / "half" / name / "checkpoints") for name in NAMES}
    assert len({path.name for path in steps if path is not None}) == 1
    resumed = trainer(*shlex.split(printed[1]), "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert all(one["resumed_from_step"] >= 20 for one in json.loads(resumed.stdout)["members"].values())
    assert weights(tmp_path / "half") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_as_if_it_had_never_stopped(store: Path, tmp_path: Path) -> None:
    write(tmp_path, 300)
    arguments = ("sweep", store, "sweep.toml", "--device", "cpu", "--checkpoint-every", 20, "--out")
    whole = trainer(*arguments, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr

    def reached(step: int) -> bool:
        newest = newest_checkpoint(tmp_path / "half/topk-sae-k4/checkpoints")
        return newest is not None and int(newest.name.removeprefix("step-")) >= step

    kill_when(lambda: steps_logged(tmp_path / "half/topk-sae-k4") >= 5, *arguments, "half", cwd=tmp_path)
    for step in (60, 160):
        kill_when(lambda step=step: reached(step), *arguments, "half", cwd=tmp_path)  # type: ignore[misc]
    done = trainer(*arguments, "half", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert weights(tmp_path / "half") == weights(tmp_path / "whole")


def test_what_is_wrong_with_a_sweep_is_one_message(store: Path, tmp_path: Path) -> None:
    write(tmp_path, 5, "[[grid]]\nkk = [3]\n")
    for arguments, code, said in (
        ((store, "sweep.toml"), 2, "no setting 'kk'; did you mean 'k'"),
        ((store, "none.toml"), 2, "none.toml: cannot be read: No such file"),
        ((store,), 2, "give a store and the file of a sweep"),
        (("--resume", "nowhere"), 1, "nowhere: no sweep to go on with"),
    ):
        done = trainer("sweep", *arguments, cwd=tmp_path)
        assert done.returncode == code, done.stderr
        assert said in done.stderr
        assert done.stderr.startswith("error: ")
    done = trainer("report", tmp_path, cwd=tmp_path)
    assert (done.returncode, "has no run.json and no sweep.json" in done.stderr) == (1, True)
