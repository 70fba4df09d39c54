"""The real command line in several processes at once, and told to stop with Ctrl-C or SIGTERM."""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.actstore.cli.command import actstore
from tests.actstore.workflows.killing import Kill, extract_in_a_process
from tests.actstore.workflows.stores import contents


@pytest.fixture(scope="module")
def options(esm2_tiny: Path, few_fasta: Path) -> list[str]:
    return [
        f"--model={esm2_tiny}",
        f"--sequences={few_fasta}",
        "--site=embed,final_norm",
        "--set=store.task_rows=256",
        "--set=store.chunk_rows=64",
        "--set=store.calibration_sequences=2",
        "--json",
        "--quiet",
    ]


@pytest.fixture(scope="module")
def whole(options: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    store = tmp_path_factory.mktemp("whole") / "store"
    done = actstore("extract", *options, f"--store={store}")
    assert done.code == 0, done.err
    return contents(store)


def run(
    options: list[str], store: Path, log: Path, *more: str, kill: Kill | None = None, code: int = 0
) -> dict[str, Any]:
    """Return the report of a process that must end in good order."""
    found = extract_in_a_process(*options, f"--store={store}", *more, log=log, kill=kill)
    assert found == code, log.read_text()
    report: dict[str, Any] = json.loads(log.read_text().partition("\nstopped by")[0])
    return report


def test_shares_that_start_together_on_nothing_and_overlap(
    options: list[str], whole: dict[str, bytes], tmp_path: Path
) -> None:
    shares = ["1/3", "2/3", "3/3", "2/3"]
    with ThreadPoolExecutor(len(shares)) as pool:
        reports = list(
            pool.map(
                lambda each: run(options, tmp_path / "store", tmp_path / f"log-{each[0]}", f"--shard-of={each[1]}"),
                enumerate(shares),
            )
        )
    assert contents(tmp_path / "store") == whole
    assert any(report["complete"] for report in reports)
    assert {report["stopped"] for report in reports} == {None}
    assert all(report["complete"] == (report["tasks_left"] == 0) for report in reports)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("more", [(), ("--executor=dask", "--workers=1")], ids=["serial", "dask"])
@pytest.mark.slow
def test_a_signal_ends_it_in_good_order_and_the_same_command_continues(
    number: signal.Signals, more: tuple[str, ...], options: list[str], whole: dict[str, bytes], tmp_path: Path
) -> None:
    kill = Kill("after", "recipe.json" if more else "commits/2.json", number)
    store = tmp_path / "store"
    stopped = run(options, store, tmp_path / "log", *more, kill=kill, code=128 + number)
    assert (stopped["stopped"], stopped["complete"], stopped["manifest_sha256"]) == (number.name, False, None)
    assert not (store / "manifest.json").exists()
    said = (tmp_path / "log").read_text()
    assert f"{store}: {stopped['tasks_done']} of {stopped['tasks_total']} tasks are committed" in said
    assert f"the same command continues, as does 'actstore extract --store {store}'" in said
    if not more:
        assert 0 < stopped["tasks_left"] < stopped["tasks_total"]
        assert len(list(tmp_path.glob("store/commits/*.json"))) == stopped["tasks_done"]
    continued = run(options, store, tmp_path / "again", *more)
    assert continued["complete"]
    assert continued["tasks_before"] == stopped["tasks_done"]
    assert contents(store) == whole


def test_a_signal_while_the_last_task_is_finished_leaves_a_complete_store_and_0(
    options: list[str], whole: dict[str, bytes], tmp_path: Path
) -> None:
    last = sum(path.startswith("commits/") for path in whole) - 1
    report = run(
        options, tmp_path / "store", tmp_path / "log", kill=Kill("after", f"commits/{last}.json", signal.SIGTERM)
    )
    assert (report["stopped"], report["complete"]) == (None, True)
    assert contents(tmp_path / "store") == whole


SIGNALLED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
from actstore.cli import main; main()
"""


@pytest.mark.slow
def test_sigterm_while_libraries_are_loaded_ends_it_at_once(options: list[str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, "extract", *options, f"--store={store}"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (143, b"")
    assert done.stderr == b"stopped by SIGTERM: run the same command again\n"
    assert not store.exists()


def test_no_time_begins_the_store_and_says_how_to_continue(
    options: list[str], whole: dict[str, bytes], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    begun = actstore("extract", *[each for each in options if each != "--json"], f"--store={store}", "--stop-after=0")
    assert begun.code == 0
    assert "the same command continues" in begun.out
    continued = actstore("extract", f"--store={store}", "--stop-after=1h", "--json")
    assert continued.code == 0, continued.err
    assert continued.document["complete"]
    assert contents(store) == whole


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        (["--shard-of=0/4"], "share 0 of 4: shares are counted from 1"),
        (["--shard-of=4"], "--shard-of = '4': give I/N"),
        (["--stop-after=47"], "--stop-after = '47': give a number and a unit"),
        (["--executor=ray"], "--executor = 'ray': serial or dask"),
        (["--executor=dask"], "give --workers N, --scheduler ADDRESS or --slurm-config FILE"),
        (["--workers=2"], "--workers: only with --executor dask"),
        (["--executor=serial", "--scheduler=tcp://a:1"], "--scheduler: only with --executor dask"),
        (["--executor=dask", "--scheduler=tcp://a:1", "--workers=2"], "a scheduler that runs already has its own"),
        (["--executor=dask", "--workers=0"], "--workers = 0: at least one is needed"),
        (["--executor=dask", "--slurm-config=/no/file.toml"], "/no/file.toml: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(more: list[str], wanted: str, options: list[str], tmp_path: Path) -> None:
    refused = actstore("extract", *options, f"--store={tmp_path / 'store'}", *more)
    assert (refused.code, refused.out) == (2, "")
    assert wanted in refused.err
    assert not (tmp_path / "store").exists()
