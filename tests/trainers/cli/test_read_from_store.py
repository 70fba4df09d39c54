"""The command as a user meets it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from actstore import extract_store, open_manifest, read_recipe
from tests.trainers.cli.command import OPTIONS, kill_when, trainer
from tests.trainers.workflows.test_rows import contents, without
from trainers.dictionaries.table import DICTIONARIES

FAMILIES = {kind.__bases__: name for name, kind in reversed([*DICTIONARIES.items()])}.values()
"""One dictionary of each kind of code and shape."""


def losses(run: Path) -> list[tuple[int, float]]:
    """Steps and their losses, to the bit."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines]


def test_json_is_one_document_on_standard_output(store: Path, tmp_path: Path) -> None:
    done = trainer("read-from-store", store, "--site", "resid_post.3", "--steps", 3, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert {"rows", "rows_per_s", "wait_share", "megabytes_per_s", "seconds"} <= document.keys()
    assert (document["order"], document["path"]) == ("windows", "mapped")
    assert {"distinct_ratio", "neighbours", "serial_correlation"} <= document["mixing"].keys()
    assert {"explained_variance", "explained_variance_per_site", "l0", "dead_fraction", "steps"} <= document.keys()
    assert (document["dictionary"], document["latents"], document["k"]) == ("topk-sae", 1024, 32)
    assert re.fullmatch(r"runs/store-topk-sae-resid_post\.3-\d{8}-\d{6}", document["out"])
    assert (tmp_path / document["checkpoint"] / "checkpoint.json").is_file()
    assert "training topk-sae" in done.stderr


def test_without_json_it_is_a_table(store: Path, tmp_path: Path) -> None:
    done = trainer("read-from-store", store, "--dictionary", "none", "--batch-rows", 256, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "distinct ratio" in done.stdout
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


def test_rows_can_come_in_a_true_permutation(store: Path, tmp_path: Path) -> None:
    options = ("--dictionary", "none", "--batch-rows", 256, "--order", "uniform", "--json")
    done = trainer("read-from-store", store, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["order"], document["path"]) == ("uniform", "mapped")


@pytest.mark.slow
@pytest.mark.parametrize("dictionary", FAMILIES)
def test_a_run_killed_at_any_moment_resumes_to_the_same_losses_and_weights(
    dictionary: str, store: Path, tmp_path: Path
) -> None:
    sites: tuple[str, ...] = ("--site", "resid_post.3") if DICTIONARIES[dictionary].one_site else ()
    if dictionary.startswith("transcoder"):
        sites = ("--site", "resid_post.0", "--target", "resid_post.3")
    options = ("--dictionary", dictionary, *sites, "--batch-rows", 256, "--latents", 256, "--steps", 60)
    arguments = ("read-from-store", store, *options, "--checkpoint-every", 1, "--json", "--out")
    whole = trainer(*arguments, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    metrics = tmp_path / "killed" / "metrics.jsonl"
    kill_when(lambda: metrics.exists() and metrics.read_text().count("\n") >= 5, *arguments, "killed", cwd=tmp_path)
    resumed = trainer("read-from-store", "--resume", "killed", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert 0 < json.loads(resumed.stdout)["resumed_from_step"] < 60
    weights = "checkpoints/step-000000060/dictionary.safetensors"
    assert (tmp_path / "killed" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert [step for step, _ in losses(tmp_path / "killed")] == list(range(1, 61))


@pytest.mark.slow
def test_a_run_that_fills_a_store_is_killed_in_mid_epoch_and_resumes_to_the_same_weights(
    recipe_file: Path, tmp_path: Path
) -> None:
    """Small tasks, more than statistics take, and a buffer of a few of them."""
    small = {"store.task_rows": 256, "store.encoding": "float16"}
    extract_store(read_recipe(recipe_file, options=small), str(tmp_path / "whole"))
    partial, other = (without(tmp_path / "whole", tmp_path / name, lambda _: True) for name in ("partial", "other"))
    options = [64 if option == 512 else option for option in OPTIONS]  # rows of a batch
    options += ["--on-missing", "store", "--buffer-bytes", 1 << 18, "--checkpoint-every", 1]
    fill = ("read-from-store", partial, *options, "--out", "run")

    def has_done_two_steps() -> bool:
        return any(path.name > "step-000000001" for path in (tmp_path / "run").glob("checkpoints/step-*"))

    kill_when(has_done_two_steps, *fill, cwd=tmp_path)
    killed = open_manifest(partial)
    assert 0 < killed.tasks_done < killed.splits["train"].tasks
    resumed = trainer("read-from-store", "--resume", "run", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["resumed_from_step"] >= 2
    assert contents(partial) == contents(tmp_path / "whole")
    unbroken = trainer("read-from-store", other, *options, "--out", "unbroken", cwd=tmp_path)
    assert unbroken.returncode == 0, unbroken.stderr
    newest = [max((tmp_path / name).glob("checkpoints/*/dictionary.safetensors")) for name in ("run", "unbroken")]
    assert newest[0].read_bytes() == newest[1].read_bytes()
    # Killed once more, between the last commit and the manifest.
    (partial / "manifest.json").unlink()
    again = trainer("read-from-store", "--resume", "run", "--json", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["live"]["store_complete"]
    assert contents(partial) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_that_fills_a_store_is_killed_and_goes_on(store: Path, tmp_path: Path) -> None:
    partial = without(store, tmp_path / "partial", lambda _: True)
    fill = ("read-from-store", partial, *OPTIONS, "--on-missing", "store", "--out", "run", "--checkpoint-every", 1)
    kill_when(lambda: any((partial / "commits").glob("*.json")), *fill, cwd=tmp_path)
    assert not open_manifest(partial).complete
    again = trainer(*fill[:-4], "--out", "again", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["live"]["store_complete"]
    assert contents(partial) == contents(store)
