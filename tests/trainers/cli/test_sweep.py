"""`trainer sweep` in a process of its own: it says what it does, stops in good order, and goes on."""

import json
import re
import signal
from inspect import signature
from pathlib import Path

import pytest

import trainers.cli
from tests.actstore.cli.command import Outcome, run_here
from tests.trainers.cli.command import kill_when, stop_when
from trainers.cli.sweep import sweep
from trainers.save.checkpoint import newest_checkpoint
from trainers.workflows.options import RunOptions
from trainers.workflows.sweep import sweep as run_sweep

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


def here(*arguments: object) -> Outcome:
    """Run the command in this process."""
    return run_here("trainer", trainers.cli.main, *map(str, arguments))


def test_it_says_what_is_read_together_and_shows_what_came_out(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 20, "[[member]]\nname = 'wild'\nlr = 1e6\n")
    done = here("sweep", store, "sweep.toml", "--device", "cpu")
    assert done.code == 1
    assert re.search(r"^4 dictionaries; the rows are read once:$", done.err, re.MULTILINE)
    first = r"  pass 1: 4 on resid_post.3, about 0\.\d\d GB: topk-sae-k4, .*, wild$"
    assert re.search(first, done.err, re.MULTILINE)
    assert re.search(r"^error: wild: ", done.err, re.MULTILINE)
    assert all(name in done.out for name in NAMES)
    out = tmp_path / f"runs/{store.name}-sweep"
    assert (out / "result.json").exists()
    again = here("sweep", store, "sweep.toml", "--device", "cpu", "--json", "--quiet")
    document = json.loads(again.out)
    assert (again.code, document["finished"], list(document["failed"])) == (1, 3, ["wild"])
    assert document["passes"][0]["sites"] == ["resid_post.3"]
    page = here("report", out, "--html", "report.html", "--json")
    assert page.code == 0, page.err
    assert json.loads(page.out)["runs"][3]["state"] in {"failed", "worse than the mean"}
    assert "Fidelity by sparsity" in (tmp_path / "report.html").read_text("utf-8")
    table = here("report", out)
    assert "Settings in which they differ:" in table.out
    assert re.search(r"^wild: ", table.out, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sweep_goes_on_as_if_it_had_never_stopped(
    number: signal.Signals, code: int, store: Path, tmp_path: Path
) -> None:
    write(tmp_path, 400)
    options = RunOptions(device="cpu", checkpoint_every=1000, out=tmp_path / "whole")
    run_sweep(store, tmp_path / "sweep.toml", options)
    left = stop_when(
        lambda: steps_logged(tmp_path / "half/relu-sae") >= 20,
        number,
        *("sweep", store, "sweep.toml", "--device", "cpu", "--checkpoint-every", 1000, "--out", "half"),
        cwd=tmp_path,
    )
    assert (left.code, left.out) == (code, "")
    assert left.seconds < 5
    assert re.search(r"^go on with: trainer sweep --resume half$", left.err, re.MULTILINE), left.err
    steps = {newest_checkpoint(tmp_path / "half" / name / "checkpoints") for name in NAMES}
    assert len({path.name for path in steps if path is not None}) == 1
    resumed = run_sweep(None, None, RunOptions(resume=tmp_path / "half"))
    assert all(one["resumed_from_step"] >= 20 for one in resumed.members.values())
    assert weights(tmp_path / "half") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_a_killed_sweep_goes_on_as_if_it_had_never_stopped(store: Path, tmp_path: Path) -> None:
    write(tmp_path, 200)
    run_sweep(store, tmp_path / "sweep.toml", RunOptions(device="cpu", checkpoint_every=20, out=tmp_path / "whole"))
    arguments = ("sweep", store, "sweep.toml", "--device", "cpu", "--checkpoint-every", 20, "--out", "half")
    kill_when((tmp_path / "half/topk-sae-k4/checkpoints/step-000000040").exists, *arguments, cwd=tmp_path)
    kill_when(lambda: steps_logged(tmp_path / "half/topk-sae-k8") >= 111, *arguments, cwd=tmp_path)
    resumed = run_sweep(store, tmp_path / "sweep.toml", RunOptions(out=tmp_path / "half"))
    assert all(one["resumed_from_step"] >= 80 for one in resumed.members.values())
    assert weights(tmp_path / "half") == weights(tmp_path / "whole")


def test_what_is_wrong_with_a_sweep_is_one_message(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 5, "[[grid]]\nkk = [3]\n")
    for arguments, code, said in (
        (("sweep", store, "sweep.toml"), 2, "no setting 'kk'; did you mean 'k'"),
        (("sweep", store, "none.toml"), 2, "none.toml: cannot be read: No such file"),
        (("sweep", store), 2, "give a store and the file of a sweep"),
        (("sweep", "--resume", "nowhere"), 1, "nowhere: no sweep to go on with"),
        (("report", tmp_path), 1, "has no run.json and no sweep.json"),
    ):
        done = here(*arguments)
        assert done.code == code, done
        assert said in done.err
        assert done.err.startswith("error: ")
