"""Model folders that claim to be huge: refused within a second and 200 MB, by every command that loads a model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.workflows.care.verify import verify_store
from tests.actstore.cli.command import actstore
from tests.hostile.bounded import run_bounded
from tests.hostile.commands import MOST_S, within
from tests.hostile.sealing import change_document

TemplateOf = Callable[[str], Path]
LOAD = "import time\nfrom actstore.contracts.recipe import ModelRecipe\nfrom actstore.extract.model import load_model"
REFUSE = """
began = time.perf_counter()
try:
    load_model(ModelRecipe(name=str(argument)), ["resid_post.*"])
finally:
    assert time.perf_counter() - began < 1
"""
CLAIMS: dict[str, dict[str, object]] = {
    "100,000 features": {"hidden_size": 100_000},
    "a billion layers": {"num_hidden_layers": 10**9},
    "ten billion letters": {"vocab_size": 10**10},
    "a hundred billion positions": {"max_position_embeddings": 10**11, "position_embedding_type": "absolute"},
    "no heads": {"num_attention_heads": 0},
    "a billion labels": {"num_labels": 10**9},
}


def claiming(esm2_tiny: Path, folder: Path, claim: str) -> Path:
    shutil.copytree(esm2_tiny, folder)
    change_document(folder / "config.json", lambda config: config | CLAIMS[claim])
    return folder


@pytest.mark.parametrize("claim", ["100,000 features", "a billion layers", "a hundred billion positions"])
def test_a_claim_takes_neither_memory_nor_time(esm2_tiny: Path, tmp_path: Path, claim: str) -> None:
    outcome = run_bounded(LOAD, REFUSE, claiming(esm2_tiny, tmp_path / "model", claim))
    assert (outcome.error, outcome.ours) == ("ModelError", True), outcome
    assert outcome.grown_bytes < 200_000_000


@pytest.mark.parametrize("claim", CLAIMS)
def test_no_command_loads_a_model_that_claims_too_much(
    store_to_spoil: TemplateOf, esm2_tiny: Path, tmp_path: Path, claim: str
) -> None:
    model = claiming(esm2_tiny, tmp_path / "model", claim)
    fasta = tmp_path / "p.fasta"
    fasta.write_text(">P1\nMKVLAAGIVGLLLAQWERTY\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[model]\nname = {json.dumps(str(model))}\n[corpus]\nsequences = [{json.dumps(str(fasta))}]\n")
    for command in (("extract", recipe, "--store", tmp_path / "new"), ("plan", recipe)):
        with within(MOST_S):
            done = actstore(*command)
        assert done.code == 1
        assert f"error: {model}: config.json: " in done.err
        assert len(done.err) < 1000
    assert not (tmp_path / "new").exists()


def test_the_commands_on_a_store_refuse_its_model_if_that_has_changed(
    store_to_spoil: TemplateOf, esm2_tiny: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    model = shutil.copytree(esm2_tiny, tmp_path / "model")
    fasta = tmp_path / "p.fasta"
    fasta.write_text(">P1\nMKVLAAGIVGLLLAQWERTY\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f"[model]\nname = {json.dumps(str(model))}\n[corpus]\nsequences = [{json.dumps(str(fasta))}]\n")
    assert actstore("extract", recipe, "--store", store, "--quiet").code == 0
    change_document(model / "config.json", lambda config: config | CLAIMS["a billion layers"])
    with within(MOST_S):
        report = verify_store(str(store))
    assert report.ok
    assert "num_hidden_layers is 1,000,000,000" in (report.not_recomputed or "")
    with within(MOST_S):
        done = actstore("repair", store, "--task", "0")
    assert done.code == 1
    assert "num_hidden_layers is 1,000,000,000" in done.err
