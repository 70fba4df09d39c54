"""Folders of dictionary_learning. `test_peers.py` asks the library itself."""

import json
from pathlib import Path

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.formats.written import kept, linear, trainer_config, write
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, made
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.facts import Activation
from trainers.exchange.formats.dictionary_learning import read_dictionary_learning
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.import_dictionary import import_dictionary


def test_the_folder_says_the_model_and_not_the_site(tmp_path: Path) -> None:
    folder = write(tmp_path / "dl", {"config.json": trainer_config("AutoEncoder"), "ae.pt": linear()})
    with pytest.raises(errors.UsageError, match=r"does not say its site \(--site NAME\); give"):
        import_dictionary(folder)
    assert import_dictionary(folder, sites="resid_post.3").facts.model is not None


def test_an_autoencoder_has_the_codes_of_a_normalised_decoder(tmp_path: Path) -> None:
    """`load_dictionary` divides the decoder by its norms, and multiplies codes by them."""
    folder = write(tmp_path / "dl", {"config.json": trainer_config("AutoEncoder"), "ae.pt": linear()})
    dictionary = import_dictionary(folder, sites="a")
    state, values_BD = linear(), draw(9, WIDTH, seed=8)
    pre_BF = (values_BD - state["bias"]) @ state["encoder.weight"].T + state["encoder.bias"]
    wanted_BF = pre_BF.relu() * state["decoder.weight"].norm(dim=0)
    torch.testing.assert_close(dictionary.encode(values_BD), wanted_BF)
    back_BD = pre_BF.relu() @ state["decoder.weight"].T + state["bias"]
    torch.testing.assert_close(dictionary.reconstruct(values_BD), back_BD)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (trainer_config("CrossCoder"), "trainer.dict_class is 'CrossCoder'"),
        (trainer_config("GatedAutoEncoder"), "expected decoder.weight, decoder_bias, encoder.weight, gate_bias"),
        ({"trainer": 3}, "trainer.dict_class is None"),
        ({}, "trainer.dict_class is None"),
        (trainer_config("AutoEncoderTopK", k=5), "k is 5, and the weights have 4"),
    ],
)
def test_what_is_refused(config: dict[str, object], said: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "dl", {"config.json": config, "ae.pt": linear("b_dec") | kept()})
    with pytest.raises(errors.CheckpointError) as caught:
        read_dictionary_learning(ForeignFolder(folder))
    assert said in str(caught.value)


def test_an_export_has_what_the_importer_of_saelens_asks_for(tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "out", to="dictionary-learning")
    config = json.loads((tmp_path / "out" / "trainer_0" / "config.json").read_text())
    assert config["trainer"]["dict_class"] == "AutoEncoderTopK"
    assert (config["trainer"]["activation_dim"], config["trainer"]["dict_size"]) == (WIDTH, LATENTS)
    assert (config["trainer"]["layer"], config["trainer"]["lm_name"]) == (0, "memory")
    assert "ctx_len" in config["buffer"]


def test_relu_is_written_as_jumprelu_that_no_loader_rescales(tmp_path: Path) -> None:
    export_dictionary(made(activation=Activation(name="relu")), tmp_path / "out", to="dictionary-learning")
    state = torch.load(tmp_path / "out" / "trainer_0" / "ae.pt", weights_only=True)
    assert torch.equal(state["threshold"], torch.zeros(LATENTS))
    config = json.loads((tmp_path / "out" / "trainer_0" / "config.json").read_text())
    assert config["trainer"]["dict_class"] == "JumpReluAutoEncoder"
