"""A gated dictionary and its JumpReLU have the same codes, both ways."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from actstore import errors
from tests.trainers.exchange.formats.written import linear, matrices, saelens_config, trainer_config, write
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, made, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.facts import Activation
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.gated import Gate
from trainers.exchange.formats.saelens import read_saelens
from trainers.exchange.import_dictionary import import_dictionary
from trainers.exchange.trained import TrainedDictionary

GATE = Gate(draw(LATENTS, seed=11), draw(LATENTS, seed=12), draw(LATENTS, seed=13))


def gated_code(values_BD: Tensor, W_enc_DF: Tensor, gate: Gate) -> Tensor:
    """Rajamanoharan et al. 2024, written out."""
    shared_BF = values_BD @ W_enc_DF
    active_BF = (shared_BF + gate.b_gate_F > 0).float()
    return active_BF * torch.relu(shared_BF * gate.r_mag_F.exp() + gate.b_mag_F)


def ours() -> TrainedDictionary:
    return made(dictionary="gated-sae", activation=Activation(name="jumprelu"))


def test_a_folder_of_saelens_has_the_codes_of_the_paper(tmp_path: Path) -> None:
    tensors = matrices()
    del tensors["b_enc"]
    tensors |= {"b_gate": GATE.b_gate_F, "b_mag": GATE.b_mag_F, "r_mag": GATE.r_mag_F}
    folder = write(tmp_path, {"cfg.json": saelens_config("gated"), "sae_weights.safetensors": tensors})
    dictionary, values_BD = import_dictionary(folder), draw(50, WIDTH, seed=8)
    wanted_BF = gated_code(values_BD - tensors["b_dec"], tensors["W_enc"], GATE)
    torch.testing.assert_close(dictionary.encode(values_BD), wanted_BF)
    torch.testing.assert_close(dictionary.reconstruct(values_BD), wanted_BF @ tensors["W_dec"] + tensors["b_dec"])
    assert dictionary.facts.imported is not None
    assert "of a gated dictionary" in dictionary.facts.imported["threshold"]


def test_a_folder_of_dictionary_learning_has_the_codes_of_the_paper(tmp_path: Path) -> None:
    state = linear("decoder_bias")
    del state["encoder.bias"]
    state |= {"gate_bias": GATE.b_gate_F, "mag_bias": GATE.b_mag_F, "r_mag": GATE.r_mag_F}
    folder = write(tmp_path, {"config.json": trainer_config("GatedAutoEncoder"), "ae.pt": state})
    dictionary, values_BD = import_dictionary(folder, sites="a"), draw(50, WIDTH, seed=8)
    wanted_BF = gated_code(values_BD - state["decoder_bias"], state["encoder.weight"].T, GATE)
    torch.testing.assert_close(dictionary.encode(values_BD), wanted_BF)


@pytest.mark.parametrize("to", ["saelens", "dictionary-learning"])
def test_a_gated_dictionary_stays_one_and_comes_back_with_its_codes(to: str, tmp_path: Path) -> None:
    export_dictionary(ours(), tmp_path / "out", to=to)
    if to == "saelens":
        assert json.loads((tmp_path / "out" / "cfg.json").read_text())["architecture"] == "gated"
    else:
        config = json.loads((tmp_path / "out" / "trainer_0" / "config.json").read_text())
        assert config["trainer"]["dict_class"] == "GatedAutoEncoder"
    again = import_dictionary(tmp_path / "out")
    torch.testing.assert_close(again.encode(rows_of(1)), ours().encode(rows_of(1)))
    torch.testing.assert_close(again.reconstruct(rows_of(1)), ours().reconstruct(rows_of(1)))


def test_a_factor_beyond_float32_is_refused(tmp_path: Path) -> None:
    tensors = matrices()
    del tensors["b_enc"]
    tensors |= {"b_gate": GATE.b_gate_F, "b_mag": GATE.b_mag_F, "r_mag": torch.full((LATENTS,), 1000.0)}
    folder = write(tmp_path, {"cfg.json": saelens_config("gated"), "sae_weights.safetensors": tensors})
    with pytest.raises(errors.CheckpointError, match="r_mag"):
        read_saelens(ForeignFolder(folder))


def test_formats_without_gates_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="sparsify has no jumprelu dictionaries"):
        export_dictionary(ours(), tmp_path / "out", to="sparsify")
