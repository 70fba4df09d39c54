"""Scripts that use workers of this machine, with and without a guard."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROTEINS = Path(__file__).parents[3] / "data" / "odd" / "n5.fasta"
CHECKING = """
import sys
from actstore.workflows.clusters.main_guard import check_main_guard

def work():
    check_main_guard("LocalWorkers(2)")
    return "worked"

def is_main():
    return True

"""
EXTRACTING = """
import multiprocessing
import threading
import actstore

print("runs", flush=True)

def work():
    recipe = {{"model": {{"name": {model!r}}}, "corpus": {{"sequences": [{proteins!r}]}}}}
    workers = actstore.LocalWorkers(2)
    return actstore.extract_store(actstore.Recipe.model_validate(recipe), {store!r}, cluster=workers).complete

def is_main():
    return multiprocessing.current_process().name == "MainProcess"

"""
ADVICE = """
if __name__ == "__main__":
    print(work())
"""


def run(script: Path, text: str, *, module: bool = False) -> subprocess.CompletedProcess[str]:
    script.write_text(text)
    command = ["-m", script.stem] if module else [script.name]
    return subprocess.run([sys.executable, *command], cwd=script.parent, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("module", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        "print(work())\n",
        "for _ in range(1):\n    print(work())\n",
        "if sys.argv:\n    print(work())\n",
        'if __name__ == "__main__":\n    pass\nprint(work())\n',
    ],
)
def test_a_script_without_a_guard_is_told_what_to_write(tmp_path: Path, body: str, module: bool) -> None:
    done = run(tmp_path / "script.py", CHECKING + body, module=module)
    assert (done.returncode, done.stdout) == (1, "")
    assert "script.py, line" in done.stderr
    assert "LocalWorkers(2) starts processes, and each of them runs this script again" in done.stderr
    assert done.stderr.endswith(ADVICE)


@pytest.mark.parametrize("guard", ['__name__ == "__main__"', 'sys.argv and __name__ == "__main__"', "is_main()"])
def test_a_script_with_a_guard_goes_on(tmp_path: Path, guard: str) -> None:
    done = run(tmp_path / "script.py", f"{CHECKING}if {guard}:\n    print(work())\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "worked\n", "")


def test_a_program_without_a_script_goes_on() -> None:
    command = [sys.executable, "-c", CHECKING + "print(work())"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "worked\n"


def extracting(tmp_path: Path, model: Path) -> str:
    return EXTRACTING.format(model=str(model), proteins=str(PROTEINS), store=str(tmp_path / "store"))


@pytest.mark.slow
def test_an_extraction_without_a_guard_is_one_error_before_anything_is_begun(tmp_path: Path, esm2_tiny: Path) -> None:
    done = run(tmp_path / "script.py", extracting(tmp_path, esm2_tiny) + "print(work())\n")
    assert (done.returncode, done.stdout) == (1, "runs\n")
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.endswith(ADVICE)
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_an_extraction_with_a_guard_is_done(tmp_path: Path, esm2_tiny: Path) -> None:
    done = run(tmp_path / "script.py", f"{extracting(tmp_path, esm2_tiny)}if is_main():\n    print(work())\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(re.findall("True|runs", done.stdout)) == ["True", "runs", "runs", "runs"]  # lines may run together


@pytest.mark.slow
def test_processes_that_run_a_script_again_end_without_a_message(tmp_path: Path, esm2_tiny: Path) -> None:
    """A thread has no line of the script on its stack, so the script cannot be refused beforehand."""
    body = "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\n"
    done = run(tmp_path / "script.py", extracting(tmp_path, esm2_tiny) + body)
    assert "bootstrapping phase" not in done.stderr
