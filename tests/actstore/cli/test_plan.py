"""A plan from options alone, and from a recipe. `tests/actstore/workflows/test_plan.py` tests the figures."""

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.actstore.cli.command import actstore


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_needs_nothing_but_a_known_model_and_a_number_of_rows() -> None:
    model = ("--model", "facebook/esm2_t33_650M_UR50D")
    done = actstore("plan", *model, "--rows", "500M", "--site", "all", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.document["expected"]
    assert done.document["rows"] == pytest.approx(500_000_000, rel=1e-4)
    assert list(done.document["sites"]) == ["embed", *(f"resid_post.{block}" for block in range(33)), "final_norm"]
    tenth = actstore("plan", *model, "--rows=500M", "--fraction=0.1", "--site=resid_post.3,embed", "--json").document
    assert tenth["rows"] == pytest.approx(500_000_000, rel=1e-4)
    assert tenth["residues"] == pytest.approx(5_000_000_000, rel=1e-4)
    assert list(tenth["sites"]) == ["embed", "resid_post.3"]


def test_has_a_row_for_a_cpu_and_for_this_machine() -> None:
    arguments = ("plan", "--model", "facebook/esm2_t33_650M_UR50D", "--rows", "1M", "--dtype", "bfloat16")
    machines = {one["name"]: one for one in actstore(*arguments, "--json").document["machines"]}
    assert list(machines) == ["A100", "H100", "H200", "L4", "L40S", "CPU", "this machine"]
    assert machines["CPU"]["extraction_hours"] > 20 * machines["A100"]["extraction_hours"]
    assert machines["this machine"]["extraction_hours"] > machines["A100"]["extraction_hours"]
    assert machines["this machine"]["extraction_dollars"] is None
    shown = actstore(*arguments, "--gpu", "CPU").out
    assert "Extraction on one CPU" in shown
    assert "this machine" in shown


def test_takes_a_number_of_rows_in_place_of_the_corpus_of_a_recipe(small_fasta: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'model.name = "facebook/esm2_t6_8M_UR50D"\ncorpus.sequences = "{small_fasta}"\n')
    done = actstore("plan", recipe, "--rows", "20k", "--set", "rows.max_per_sequence=10", "--json")
    assert done.document["rows"] == pytest.approx(20_000, rel=1e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give RECIPE.toml, or --model with --rows 500M or --sequences FILE"),
        (["--model=facebook/esm2_t6_8M_UR50D"], "give RECIPE.toml, or --model with --rows"),
        (["--model=facebook/esm2_t6_8M_UR50D", "--rows=many"], "--rows = 'many': give a number, such as"),
        (["--model=facebook/esm2_t6_8M_UR50D", "--rows=0"], "--rows 0: not a number of rows"),
        (["--model=facebook/esm2_t6_8M_UR50D", "--rows=1M", "--sequences=a.fasta"], "give one; the files decide"),
    ],
)
def test_says_what_is_missing(arguments: list[str], message: str) -> None:
    done = actstore("plan", *arguments)
    assert done.code == 2
    assert message in done.err


def recipe_with(model: Path, folder: Path) -> Path:
    fasta = folder / "p.fasta"
    fasta.write_text(">P1\nMKVLAAGIVGLLLAQWERTY\n")
    recipe = folder / "recipe.toml"
    recipe.write_text(f"[model]\nname = {json.dumps(str(model))}\n[corpus]\nsequences = [{json.dumps(str(fasta))}]\n")
    return recipe


def test_a_recipe_is_planned_and_assumptions_out_of_range_name_their_option(esm2_tiny: Path, tmp_path: Path) -> None:
    recipe = recipe_with(esm2_tiny, tmp_path)
    assert actstore("plan", recipe, "--json").document["rows"] == 20
    refused = actstore("plan", recipe, "--months", "nan")
    assert refused.code == 2
    assert "error: --months must be 0 to 12,000, not nan" in refused.err


def test_a_model_that_claims_too_much_is_refused_before_anything_heavy_is_imported(
    esm2_tiny: Path, tmp_path: Path
) -> None:
    model = shutil.copytree(esm2_tiny, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 10**9}))
    program = (
        "import sys\nfrom actstore.cli import main\nsys.argv = ['actstore', 'plan', sys.argv[1]]\n"
        "try:\n    main()\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(recipe_with(model, tmp_path))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "num_hidden_layers is 1,000,000,000" in done.stderr
    assert done.stdout.split() == ["False"]
