"""Folders of InterPLM, as its code of October 2025 writes them, and as the published ones are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.formats.written import Tensors, kept, linear, write
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, rows_of
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.interplm import read_interplm
from trainers.exchange.import_dictionary import import_dictionary
from trainers.exchange.trained import TrainedDictionary

FACTOR_F = draw(LATENTS, seed=9).abs() + 0.5


def imported(folder: Path) -> TrainedDictionary:
    return import_dictionary(folder, model="facebook/esm2_t6_8M_UR50D", sites="resid_post.3")


def relu_code(values_BD: torch.Tensor) -> torch.Tensor:
    state = linear()
    return torch.relu((values_BD - state["bias"]) @ state["encoder.weight"].T + state["encoder.bias"])


def test_a_published_folder_is_relu(tmp_path: Path) -> None:
    dictionary = imported(write(tmp_path / "layer_4", {"ae_unnormalized.pt": linear()}))
    values_BD = rows_of(1)[:, 0]
    torch.testing.assert_close(dictionary.encode(values_BD), relu_code(values_BD))
    assert dictionary.facts.row_transform == "none"
    assert dictionary.latent_scale is None


def test_features_are_divided_by_their_maximum(tmp_path: Path) -> None:
    state = linear() | {"activation_rescale_factor": FACTOR_F, "normalize_to_sqrt_d": torch.tensor(False)}
    dictionary = imported(write(tmp_path / "layer_4", {"ae_normalized.pt": state, "ae_unnormalized.pt": linear()}))
    values_BD = rows_of(1)[:, 0]
    torch.testing.assert_close(dictionary.encode(values_BD), relu_code(values_BD) / FACTOR_F)
    back_BD = relu_code(values_BD) @ linear()["decoder.weight"].T + linear()["bias"]
    torch.testing.assert_close(dictionary.reconstruct(values_BD), back_BD)


def test_a_latent_without_a_maximum_keeps_its_activations(tmp_path: Path) -> None:
    factor_F = FACTOR_F.clone()
    factor_F[3] = 0
    dictionary = imported(write(tmp_path / "l", {"ae.pt": linear() | {"activation_rescale_factor": factor_F}}))
    assert dictionary.latent_scale is not None
    assert float(dictionary.latent_scale[3]) == 1


def test_factors_of_one_are_none(tmp_path: Path) -> None:
    state = linear() | {"activation_rescale_factor": torch.ones(LATENTS)}
    assert imported(write(tmp_path / "l", {"ae.pt": state})).latent_scale is None


@pytest.mark.parametrize(
    ("state", "config"),
    [
        (linear() | {"normalize_to_sqrt_d": torch.tensor(True)}, ""),
        (linear(), "trainer_cfg:\n  normalize_to_sqrt_d: true\n"),
    ],
)
def test_rows_of_norm_sqrt_d(state: Tensors, config: str, tmp_path: Path) -> None:
    files: dict[str, Any] = {"ae.pt": state} | ({"config.yaml": config} if config else {})
    dictionary = imported(write(tmp_path / "l", files))
    assert dictionary.facts.row_transform == "row-sqrt-d"
    values_BD = rows_of(1)[:, 0]
    inside_BD = torch.nn.functional.normalize(values_BD, dim=1) * WIDTH**0.5
    torch.testing.assert_close(dictionary.encode(values_BD), relu_code(inside_BD))


@pytest.mark.parametrize(
    ("state", "config", "activation"),
    [
        (linear("b_dec") | kept(), "trainer: TopKTrainerConfig", "topk"),
        (linear("b_dec") | kept(threshold=0.5), "dictionary_cls: BatchTopKSAE", "jumprelu"),
        (linear("decoder.bias") | {"threshold": FACTOR_F}, "", "jumprelu"),
        (linear("decoder.bias"), "", "relu"),
    ],
)
def test_the_other_classes(state: Tensors, config: str, activation: str, tmp_path: Path) -> None:
    files: dict[str, Any] = {"ae.pt": state} | ({"config.yaml": config} if config else {})
    assert imported(write(tmp_path / "l", files)).facts.activation.name == activation


@pytest.mark.parametrize(
    ("state", "config", "said"),
    [
        (linear("b_dec") | kept(), "", "config.yaml names neither"),
        (linear("b_dec") | kept(), "TopKSAE BatchTopKSAE", "config.yaml names both"),
        (linear("b_dec") | kept(), "BatchTopKSAE", "has no threshold (-1)"),
        (linear() | {"activation_rescale_factor": torch.ones(3)}, "", "no maximum of each of 20 latents"),
        (linear() | {"activation_rescale_factor": -FACTOR_F}, "", "no maximum of each"),
        (linear() | {"more": FACTOR_F}, "", "more"),
    ],
)
def test_what_is_refused(state: Tensors, config: str, said: str, tmp_path: Path) -> None:
    files: dict[str, Any] = {"ae.pt": state} | ({"config.yaml": config} if config else {})
    with pytest.raises(errors.CheckpointError) as caught:
        read_interplm(ForeignFolder(write(tmp_path / "l", files)))
    assert said in str(caught.value)


def test_one_file_of_a_folder_can_be_chosen(tmp_path: Path) -> None:
    state = linear() | {"activation_rescale_factor": FACTOR_F}
    folder = write(tmp_path / "l", {"ae_normalized.pt": state, "ae_unnormalized.pt": linear()})
    dictionary = imported(folder / "ae_unnormalized.pt")
    assert dictionary.latent_scale is None
    assert dictionary.facts.imported is not None
    assert dictionary.facts.imported["file"] == "ae_unnormalized.pt"
