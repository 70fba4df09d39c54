"""Output that cannot be written: the exit code and one line say so, and nothing that was done is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.store.read.open import locate_store
from actstore.workflows.care.verify import verify_store

StoreOf = Callable[..., Path]
ODD = Path(__file__).parents[2] / "data" / "odd"
FULL = Path("/dev/full")
LOST = (
    "error: standard output cannot be written: No space left on device; what the command did is done, and only its "
    "output is lost\n"
)

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="/dev/full is of Linux")


def run(
    program: str, *arguments: object, out: Path | int = subprocess.PIPE, err: Path | int = subprocess.PIPE
) -> tuple[int, str, str]:
    """Run a command line as a shell would; return its exit code, output and error."""
    outputs = [os.open(one, os.O_WRONLY) if isinstance(one, Path) else one for one in (out, err)]
    command = [sys.executable, "-c", f"from {program}.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, stdout=outputs[0], stderr=outputs[1], text=True, check=False)
    for descriptor, given in zip(outputs, (out, err), strict=True):
        if isinstance(given, Path):
            os.close(descriptor)
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["verify", "--no-recompute", "--quiet", "--json"],
        pytest.param(["inspect", "--json"], marks=pytest.mark.slow),
        pytest.param(["verify", "--no-recompute"], marks=pytest.mark.slow),
        pytest.param(["gc"], marks=pytest.mark.slow),
        pytest.param(["repair", "--quiet"], marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_a_report_on_a_full_disk_is_one_line_on_standard_error(store_of: StoreOf, arguments: list[str]) -> None:
    code, out, err = run("actstore", *arguments, store_of(), out=FULL)
    assert (code, out, err.splitlines()[-1] + "\n") == (1, "", LOST)
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_too(arguments: list[str]) -> None:
    assert run("actstore", *arguments, out=FULL) == (1, "", LOST)


def test_an_extraction_whose_report_is_lost_has_a_complete_store(esm2_tiny: Path, tmp_path: Path) -> None:
    arguments = ["--quiet", f"--model={esm2_tiny}", f"--sequences={ODD / 'n5.fasta'}", f"--store={tmp_path / 'store'}"]
    assert run("actstore", "extract", *arguments, out=FULL) == (1, "", LOST)
    assert locate_store(tmp_path / "store")[0].complete
    assert verify_store(str(tmp_path / "store"), recompute=False).ok


@pytest.mark.slow
def test_a_trainer_whose_report_is_lost_has_its_weights(store_of: StoreOf, tmp_path: Path) -> None:
    for options in ([], ["--json"]):
        folder = tmp_path / f"run{len(options)}"
        arguments = [store_of(), "--site=embed", "--steps=3", "--batch-rows=64", "--latents=32", "--k=4", "--quiet"]
        arguments += [f"--out={folder}", *options]
        assert run("trainers", "read-from-store", *arguments, out=FULL) == (1, "", LOST)
        assert list(folder.rglob("*.safetensors"))


def test_log_lines_on_a_full_disk_do_not_end_the_work(store_of: StoreOf) -> None:
    code, out, _ = run("actstore", "verify", store_of(), "--no-recompute", "--json", err=FULL)
    assert code == 0
    assert '"ok": true' in out


def test_an_error_message_that_is_lost_leaves_its_exit_code(tmp_path: Path) -> None:
    assert run("actstore", "inspect", tmp_path / "nothing", err=FULL) == (1, "", "")


def test_a_reader_that_leaves_early_gets_no_message(store_of: StoreOf) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run("actstore", "inspect", store_of(), "--json", out=writing) == (1, "", "")
    finally:
        os.close(writing)
