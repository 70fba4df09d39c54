"""Folders and functions that fit on a screen, workers that exist, and results that only a `Recording` writes."""

import ast
import doctest
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.recording.report import RESULTS

REPOSITORY = Path(__file__).resolve().parents[2]
BENCHMARKS = REPOSITORY / "benchmarks"
MODULES = {path.relative_to(REPOSITORY).as_posix(): path.read_text("utf-8") for path in BENCHMARKS.rglob("*.py")}
SCRIPTS = {Path(path).stem for path, text in MODULES.items() if "Recording(" in text} - {"report"}
EXAMPLES = sorted(
    path.removesuffix(".py").replace("/", ".")
    for path, text in MODULES.items()
    if ">>> " in text and not path.endswith("quiet.py")  # it watches for longer than a test should
)

MOST_MODULES = 20
MOST_FUNCTION_LINES = 60
LONG: dict[str, str] = {}
"""Functions that may be longer, and why."""


def test_folders_fit_on_a_screen() -> None:
    folders = [BENCHMARKS, *(path.parent for path in BENCHMARKS.glob("*/__init__.py"))]
    assert len(folders) > 1
    assert {folder.name: count for folder in folders if (count := len([*folder.glob("*.py")])) > MOST_MODULES} == {}


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{path}:{node.name}": lines
        for path, text in MODULES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_FUNCTION_LINES
    }
    assert long.keys() == LONG.keys()


def test_modules_that_run_in_processes_of_their_own_exist() -> None:
    texts = [*MODULES.values(), (REPOSITORY / "Makefile").read_text("utf-8")]
    named = {name for text in texts for name in re.findall(r'(?:-m |")(benchmarks(?:\.\w+)+)', text)}
    assert {"benchmarks.stream", "benchmarks.contestants.worker", "benchmarks.contestants.s3_reader"} <= named
    assert {name for name in named if find_spec(name) is None} == set()


def test_all_results_are_recorded_by_the_script_of_their_name_which_can_also_only_look() -> None:
    assert {path.stem for path in RESULTS.glob("*.json")} <= SCRIPTS
    for name in SCRIPTS:
        text = MODULES[f"benchmarks/{name}.py"]
        assert f'Recording("{name}"' in text
        assert "add_look_only(parser)" in text
    assert {path for path, text in MODULES.items() if "RESULTS" in text} == {
        "benchmarks/recording/report.py",
        "benchmarks/tables.py",
    }


def test_the_worker_needs_no_more_than_numpy_for_peers_in_interpreters_of_their_own() -> None:
    program = (
        "import sys; import benchmarks.contestants.worker, benchmarks.contestants.annbatch; "
        "sys.exit(', '.join({'actstore', 'torch', 'zarr'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_true(name: str) -> None:
    found = doctest.testmod(import_module(name))
    assert found.attempted
    assert not found.failed
