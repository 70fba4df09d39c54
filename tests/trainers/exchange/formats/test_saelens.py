"""Folders of SAELens: what is read, what is refused, and what is written. `test_peers.py` asks SAELens itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from actstore import errors
from tests.trainers.exchange.formats.written import matrices, saelens_config, write
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, made, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.saelens import read_saelens
from trainers.exchange.import_dictionary import import_dictionary


def folder_of(tmp_path: Path, config: dict[str, Any], **tensors: torch.Tensor) -> Path:
    return write(tmp_path / "sae", {"cfg.json": config, "sae_weights.safetensors": matrices() | tensors})


def test_it_says_model_and_site(tmp_path: Path) -> None:
    dictionary = import_dictionary(folder_of(tmp_path, saelens_config()))
    assert dictionary.facts.model is not None
    assert dictionary.facts.model.name == "peer/model"
    assert dictionary.sites == ("blocks.3.hook_resid_post",)
    assert dictionary.facts.activation.name == "relu"
    assert dictionary.facts.imported is not None
    assert dictionary.facts.imported["config"]["d_in"] == WIDTH
    assert set(dictionary.facts.imported["files"]) == {"cfg.json", "sae_weights.safetensors"}


@pytest.mark.parametrize(
    ("normalisation", "transform"), [("layer_norm", "row-zscore"), ("constant_norm_rescale", "row-sqrt-d")]
)
def test_normalised_rows_are_transforms_of_rows(normalisation: str, transform: str, tmp_path: Path) -> None:
    config = saelens_config("topk", k=4, normalize_activations=normalisation)
    assert import_dictionary(folder_of(tmp_path, config)).facts.row_transform == transform


def test_a_checkpoint_of_batch_topk_has_its_threshold(tmp_path: Path) -> None:
    config = saelens_config("batchtopk", k=4.5, rescale_acts_by_decoder_norm=False)
    dictionary = import_dictionary(folder_of(tmp_path, config, topk_threshold=torch.tensor(0.7, dtype=torch.float64)))
    assert dictionary.facts.activation.name == "jumprelu"
    assert dictionary.threshold is not None
    torch.testing.assert_close(dictionary.threshold, torch.full((LATENTS,), 0.7))
    assert dictionary.facts.imported is not None
    assert "topk_threshold" in dictionary.facts.imported["threshold"]


SIX = {"sae_lens_version": "6.0.0", "model_name": "peer/model"}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, torch.Tensor], str]] = {
    "an older version": (saelens_config(metadata={"sae_lens_version": "5.9.0"}), {}, "SAELens before 6"),
    "no metadata": (saelens_config(metadata=None), {}, "SAELens before 6"),
    "another architecture": (saelens_config("gated"), {}, "architecture 'gated'"),
    "an architecture in colours": (saelens_config("\x1b[31m"), {}, r"\\x1b"),
    "one head": (
        saelens_config(metadata=SIX | {"hook_name": "blocks.3.attn.hook_z", "hook_head_index": 2}),
        {},
        "hook_head_index is 2: its rows are those of one attention head, and a site is what a module returns",
    ),
    "the first head": (saelens_config(metadata=SIX | {"hook_head_index": 0}), {}, "hook_head_index is 0"),
    "reshaped heads": (saelens_config(reshape_activations="hook_z"), {}, "reshape_activations is 'hook_z'"),
    "heads by name": (
        saelens_config(metadata=SIX | {"hook_name": "blocks.3.attn.hook_z"}),
        {},
        "hook_name is 'blocks.3.attn.hook_z': its rows are activations of attention heads",
    ),
    "another width": (saelens_config(d_in=WIDTH + 1), {}, f"d_in is {WIDTH + 1}, and the weights have {WIDTH}"),
    "no number of latents": (saelens_config(d_sae="many"), {}, "d_sae is 'many'; expected a whole number"),
    "k above F": (saelens_config("topk", k=LATENTS + 1), {}, "k is 21, of 20 latents"),
    "k as text": (saelens_config("topk", k="4"), {}, "k is '4'"),
    "a factor that is not there": (
        saelens_config(normalize_activations="expected_average_only_in"),
        {},
        "give the factor with --input-scale",
    ),
    "whitening": (saelens_config(normalize_activations="covariance_whitening"), {}, "covariance_whitening"),
    "a tensor too many": (saelens_config(), {"scaling_factor": torch.ones(LATENTS)}, "scaling_factor"),
    "no threshold": (saelens_config("jumprelu"), {}, "expected W_dec, W_enc, b_dec, b_enc, threshold"),
    "a threshold of another size": (saelens_config("jumprelu"), {"threshold": torch.ones(3)}, "threshold is [3]"),
    "a bias of another size": (saelens_config(), {"b_dec": torch.ones(3)}, "b_dec is [3]; expected [6]"),
    "whole numbers": (saelens_config(), {"b_dec": torch.ones(WIDTH, dtype=torch.int32)}, "weights are real numbers"),
    "NaN": (saelens_config(), {"b_dec": torch.full((WIDTH,), torch.nan)}, "b_dec holds NaN or Inf"),
    "numbers beyond float32": (
        saelens_config(),
        {"b_dec": torch.full((WIDTH,), 1e300, dtype=torch.float64)},
        "NaN or Inf",
    ),
    "batch-topk before its threshold": (
        saelens_config("batchtopk", k=4),
        {"topk_threshold": torch.tensor(0.0)},
        "has no threshold",
    ),
    "provenance of another kind": (
        saelens_config(metadata={"sae_lens_version": "6.0.0", "actstore": {"model": 3}}),
        {},
        "actstore.model",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str, tmp_path: Path) -> None:
    config, tensors, said = REFUSED[what]
    with pytest.raises(errors.CheckpointError) as caught:
        read_saelens(ForeignFolder(folder_of(tmp_path, config, **tensors)))
    assert said.replace("\\\\", "\\") in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("name", ["topk", "relu", "jumprelu"])
def test_an_export_says_what_saelens_asks(name: str, tmp_path: Path) -> None:
    activation = Activation.model_validate({"name": name, "k": 4 if name == "topk" else None})
    dictionary = made(activation=activation)
    export_dictionary(dictionary, tmp_path / "out", to="saelens")
    config = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert config["architecture"] == {"topk": "topk", "relu": "standard", "jumprelu": "jumprelu"}[name]
    assert (config["d_in"], config["d_sae"], config["apply_b_dec_to_input"]) == (WIDTH, LATENTS, True)
    assert config["metadata"]["model_name"] == "memory"
    assert config["metadata"]["hook_name"] == "layer.0"
    assert load_file(tmp_path / "out" / "sae_weights.safetensors")["W_enc"].shape == (WIDTH, LATENTS)


def test_an_export_knows_its_site_module_and_store_again(tmp_path: Path) -> None:
    dictionary = made(licence="mit")
    export_dictionary(dictionary, tmp_path / "out", to="saelens")
    again = import_dictionary(tmp_path / "out")
    for field in ("sites", "model", "manifests", "licence", "activation", "subtracts_b_dec"):
        assert getattr(again.facts, field) == getattr(dictionary.facts, field)
    assert torch.equal(again.encode(rows_of(1)), dictionary.encode(rows_of(1)))


def test_codes_times_the_norm_of_the_decoder_are_those_of_saelens(tmp_path: Path) -> None:
    config = saelens_config("topk", k=4, rescale_acts_by_decoder_norm=True)
    dictionary = import_dictionary(folder_of(tmp_path, config))
    tensors = matrices()
    values_BD = draw(9, WIDTH, seed=8)
    pre_BF = ((values_BD - tensors["b_dec"]) @ tensors["W_enc"] + tensors["b_enc"]) * tensors["W_dec"].norm(dim=1)
    kept = torch.topk(pre_BF, 4)
    wanted_BF = torch.zeros_like(pre_BF).scatter(1, kept.indices, kept.values.relu())
    torch.testing.assert_close(dictionary.encode(values_BD), wanted_BF)
