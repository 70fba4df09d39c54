"""Crosscoders in the two public layouts."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from actstore import errors
from tests.trainers.exchange.formats.written import Tensors, crosscoder, write
from tests.trainers.exchange.made import LATENTS, WIDTH, made, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.facts import Activation
from trainers.exchange.formats.crosscoder import read_crosscoder
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.import_dictionary import import_dictionary

CONFIG = {"d_in": WIDTH, "dict_size": LATENTS, "model_name": "peer/model"}


def forked(**more: Tensor) -> Tensors:
    state = crosscoder()
    return {
        "encoder.weight": state["W_enc"],
        "encoder.bias": state["b_enc"],
        "decoder.weight": state["W_dec"].transpose(0, 1).contiguous(),
        "decoder.bias": state["b_dec"],
    } | more


def naive_code(values_BSD: Tensor) -> Tensor:
    state = crosscoder()
    return torch.relu(torch.einsum("bsd,sdf->bf", values_BSD, state["W_enc"]) + state["b_enc"])


@pytest.mark.parametrize(
    "files",
    [
        {"cc_weights.pt": crosscoder(), "cfg.json": CONFIG},
        {"7.pt": crosscoder(), "7_cfg.json": CONFIG, "3.pt": {}, "3_cfg.json": {}},
        {"model.safetensors": forked(), "config.json": CONFIG},
    ],
)
def test_each_layout_is_the_same_dictionary(files: dict[str, Tensors], tmp_path: Path) -> None:
    dictionary = import_dictionary(write(tmp_path / "cc", files), sites=["a", "b"])
    assert dictionary.facts.model is not None
    assert dictionary.facts.model.name == "peer/model"
    assert dictionary.facts.dictionary == "crosscoder-relu"
    values_BSD, state = rows_of(2), crosscoder()
    torch.testing.assert_close(dictionary.encode(values_BSD), naive_code(values_BSD))
    wanted_BSD = torch.einsum("bf,fsd->bsd", naive_code(values_BSD), state["W_dec"]) + state["b_dec"]
    torch.testing.assert_close(dictionary.reconstruct(values_BSD), wanted_BSD)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_batch_topk_crosscoder_compares_scaled_activations_with_its_threshold(number: int, tmp_path: Path) -> None:
    buffers = {
        "k": torch.tensor(4),
        "threshold": torch.tensor(2.5),
        "code_normalization_id": torch.tensor(number),
    }
    folder = write(tmp_path / "cc", {"model.safetensors": forked(**buffers), "config.json": CONFIG})
    dictionary = import_dictionary(folder, sites=["a", "b"])
    norm_FS = crosscoder()["W_dec"].norm(dim=2)
    norm_F = {1: norm_FS.sum(dim=1), 2: norm_FS.square().sum(dim=1).sqrt(), 4: torch.ones(LATENTS)}[number]
    code_BF = naive_code(rows_of(2))
    torch.testing.assert_close(dictionary.encode(rows_of(2)), code_BF * (code_BF * norm_F > 2.5))
    assert dictionary.facts.imported is not None
    assert "k = 4" in dictionary.facts.imported["threshold"]


def test_each_site_must_be_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "cc", {"cc_weights.pt": crosscoder(), "cfg.json": CONFIG})
    with pytest.raises(errors.UsageError, match=r"its 2 sites \(--site NAME for each, in order\)"):
        import_dictionary(folder)
    with pytest.raises(errors.UsageError, match="1 of --site, and the weights have 2 sites"):
        import_dictionary(folder, sites="a")


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (crosscoder() | {"W_enc": torch.ones(2, 3)}, "no W_enc [models, features, latents]"),
        (crosscoder() | {"W_dec": torch.ones(2, 3)}, "W_dec is [2, 3]"),
        (crosscoder() | {"more": torch.ones(2, 3)}, "holds W_dec, W_enc, b_dec, b_enc, more"),
        (forked() | {"encoder.weight": torch.ones(2)}, "encoder.weight is no [layers, features, latents]"),
        (forked(threshold=torch.tensor(-1.0), k=torch.tensor(4)), "has no threshold"),
        (forked(threshold=torch.tensor([1.0, 1.0]), k=torch.tensor(4)), "threshold is [2]"),
        (
            forked(threshold=torch.tensor(1.0), k=torch.tensor(4), code_normalization_id=torch.tensor(3)),
            "code_normalization_id 3",
        ),
    ],
)
def test_what_is_refused(tensors: Tensors, said: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "cc", {"cc_weights.pt": tensors, "cfg.json": CONFIG})
    with pytest.raises(errors.CheckpointError) as caught:
        read_crosscoder(ForeignFolder(folder))
    assert said in str(caught.value)


def test_an_export_has_the_layout_of_the_replications(tmp_path: Path) -> None:
    told = {"training": {"steps": 9}, "metrics": {"explained_variance": 0.9}}
    dictionary = made(sites=3, activation=Activation(name="relu"), **told)
    export_dictionary(dictionary, tmp_path / "out", to="crosscoder")
    state = torch.load(tmp_path / "out" / "cc_weights.pt", weights_only=True)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "W_enc": (3, WIDTH, LATENTS),
        "b_enc": (LATENTS,),
        "W_dec": (LATENTS, 3, WIDTH),
        "b_dec": (3, WIDTH),
    }
    config = json.loads((tmp_path / "out" / "cfg.json").read_text())
    assert (config["n_models"], config["d_in"], config["dict_size"], config["enc_dtype"]) == (3, WIDTH, LATENTS, "fp32")
    again = import_dictionary(tmp_path / "out")
    assert again.facts.sites == dictionary.facts.sites
    torch.testing.assert_close(again.encode(rows_of(3)), dictionary.encode(rows_of(3)))
    torch.testing.assert_close(again.norm_FS, dictionary.norm_FS)  # in which sites compare
    assert (again.facts.training, again.facts.metrics) == (dictionary.facts.training, dictionary.facts.metrics)


@pytest.mark.parametrize(
    ("activation", "kept"),
    [
        (Activation(name="topk", k=4), "the K largest of each row"),
        (Activation(name="jumprelu"), "those above a threshold"),
    ],
)
def test_other_activations_are_refused_with_the_reason_and_the_way_out(
    activation: Activation, kept: str, tmp_path: Path
) -> None:
    with pytest.raises(errors.UsageError) as caught:
        export_dictionary(made(sites=2, activation=activation), tmp_path / "out", to="crosscoder")
    assert "says no activation, and whoever loads it computes ReLU" in str(caught.value)
    assert f"keeps only {kept} ({activation.name})" in str(caught.value)
    assert "--to safetensors" in str(caught.value)
