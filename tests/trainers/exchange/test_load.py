"""A dictionary is loaded from a run, a checkpoint or an exported folder, and gives what training reported."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import trainers
from actstore import errors, open_store
from tests.trainers.exchange.made import made
from trainers.exchange.folder import write_folder
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store


@pytest.fixture(scope="session")
def run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two checkpoints on two sites, whose rows have different norms."""
    out = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(dictionary="crosscoder-topk", latents=256, k=16, steps=60, batch_rows=256)
    read_from_store(store, config, RunOptions(out=out, checkpoint_every=40, device="cpu"))
    return out


def explained_variance(values_BSD: torch.Tensor, back_BSD: torch.Tensor, scale_S: torch.Tensor) -> float:
    """Return it in the units of training, in which sites weigh the same."""
    scaled_BSD, error_BSD = values_BSD.double(), (values_BSD - back_BSD).double()
    spread_S = (scaled_BSD - scaled_BSD.mean(dim=0)).square().sum(dim=(0, 2))
    square_S = scale_S.double() ** 2
    return 1 - float((error_BSD.square().sum(dim=(0, 2)) * square_S).sum() / (spread_S * square_S).sum())


def test_raw_held_out_rows_are_explained_as_training_reported(run: Path, store: Path) -> None:
    dictionary = trainers.load(run)
    result = json.loads((run / "result.json").read_text())
    with open_store(store) as opened:
        values_BSD = torch.from_numpy(opened.read(opened.row_numbers("valid"), dictionary.sites).values_NSD)
    assert result["evaluated_rows"] == len(values_BSD)
    found = explained_variance(values_BSD, dictionary(values_BSD), torch.tensor(dictionary.facts.input_scale))
    assert found == pytest.approx(result["explained_variance"], abs=1e-4)
    assert dictionary.facts.metrics["explained_variance"] == result["explained_variance"]


def test_a_fresh_process_needs_three_lines(run: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, numpy as np, trainers\n"
        "dictionary = trainers.load(sys.argv[1])\n"
        "print(dictionary.encode(np.ones((3, 2, dictionary.width), np.float16)).sum())\n"
    )
    said = subprocess.run([sys.executable, script, run], check=True, capture_output=True, text=True).stdout
    ones = torch.ones(3, 2, trainers.load(run).width)
    assert float(said) == pytest.approx(float(trainers.load(run).encode(ones).sum()), rel=1e-5)


def test_it_knows_its_model_sites_stores_and_training(run: Path, store: Path) -> None:
    facts = trainers.load(run).facts
    with open_store(store) as opened:
        manifest = opened.manifest
    assert facts.manifests == (manifest.digest,)
    assert facts.model is not None
    assert (facts.model.name, facts.model.weights_sha256) == (manifest.model.name, manifest.model.weights_sha256)
    assert [site.name for site in facts.sites] == ["resid_post.0", "resid_post.3"]
    assert [site.module for site in facts.sites] == [site.module for site in manifest.sites]
    assert facts.training is not None
    assert (facts.training["steps"], facts.training["plan"]["seed"]) == (60, 0)


def test_a_checkpoint_is_loaded_as_it_was(run: Path) -> None:
    earlier = trainers.load(run / "checkpoints" / "step-000000040")
    assert earlier.facts.training is not None
    assert earlier.facts.training["steps"] == 40
    assert earlier.facts.metrics == {}
    assert not torch.equal(earlier.W_dec, trainers.load(run).W_dec)


def test_results_of_another_step_are_not_those_of_the_dictionary(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    (copy / "checkpoints").mkdir(parents=True)
    for name in ("run.json", "result.json"):
        (copy / name).write_bytes((run / name).read_bytes())
    (copy / "checkpoints" / "step-000000040").symlink_to(run / "checkpoints" / "step-000000040")
    assert trainers.load(copy).facts.metrics == {}


def test_an_exported_folder_is_the_run(run: Path, tmp_path: Path) -> None:
    dictionary = trainers.load(run)
    write_folder(dictionary, tmp_path / "exported")
    again = trainers.load(tmp_path / "exported")
    assert torch.equal(again.W_enc, dictionary.W_enc)
    assert again.facts.metrics == dictionary.facts.metrics


def test_device_and_number_format_are_chosen(run: Path) -> None:
    assert trainers.load(run, dtype=torch.float64).W_enc.dtype == torch.float64


def test_what_is_no_dictionary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError, match="no such folder"):
        trainers.load(tmp_path / "nothing")
    with pytest.raises(errors.CheckpointError, match="no dictionary; give the folder of a run"):
        trainers.load(tmp_path)


def test_a_run_without_a_checkpoint_has_no_dictionary(run: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((run / "run.json").read_bytes())
    with pytest.raises(errors.CheckpointError, match="no checkpoint yet"):
        trainers.load(tmp_path)


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (None, {}, "loaded from a path or from hf://user/name, not from a NoneType"),
        (made(), {}, "not from a TrainedDictionary; this one is loaded already"),
        ("runs/sae", {"device": "gpu"}, "'gpu' is not a device; use auto, cpu, cuda or cuda:N"),
        ("runs/sae", {"dtype": int}, r"dtype <class 'int'> is no floating-point format"),
        ("runs/sae", {"dtype": torch.int8}, r"dtype torch\.int8 is no floating-point format"),
    ],
)
def test_what_cannot_be_meant_is_refused(source: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        trainers.load(source, **options)
