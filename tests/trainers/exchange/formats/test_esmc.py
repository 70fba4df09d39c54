"""Folders of the SAEs of ESMC: rows are z-scored, codes are without the display's scale."""

from pathlib import Path
from typing import Any

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.formats.written import Tensors, matrices, write
from tests.trainers.exchange.made import LATENTS, WIDTH, draw, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.formats.esmc import read_esmc
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.import_dictionary import import_dictionary
from trainers.exchange.load import load


def config(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "esmc_sae",
        "d_model": WIDTH,
        "codebook_dim": LATENTS,
        "k": 4,
        "available_layers": [3, 12],
    } | changes


def tensors(**more: torch.Tensor) -> Tensors:
    return {name: tensor for name, tensor in matrices().items() if name != "b_enc"} | more


def test_the_formula_of_the_field(tmp_path: Path) -> None:
    shown = {"idf": draw(LATENTS).abs(), "max": draw(LATENTS).abs()}
    folder = write(tmp_path / "esmc", {"config.json": config(), "layer_3.safetensors": tensors(**shown)})
    dictionary = import_dictionary(folder, model="esmc_300m", sites="resid_post.3")
    values_BD, state = rows_of(1)[:, 0], tensors()
    mean_B1, std_B1 = values_BD.mean(1, keepdim=True), values_BD.std(1, keepdim=True) + 1e-5
    pre_BF = torch.relu(((values_BD - mean_B1) / std_B1 - state["b_dec"]) @ state["W_enc"])
    kept = torch.topk(pre_BF, 4)
    code_BF = torch.zeros_like(pre_BF).scatter(1, kept.indices, kept.values)
    torch.testing.assert_close(dictionary.encode(values_BD), code_BF)
    inside_BD = code_BF @ state["W_dec"] + state["b_dec"]
    torch.testing.assert_close(dictionary.reconstruct(values_BD), inside_BD * std_B1 + mean_B1)
    export_dictionary(dictionary, tmp_path / "ours")
    assert load(tmp_path / "ours").facts.row_transform == "row-zscore"


def test_of_several_layers_one_is_chosen_by_its_file(tmp_path: Path) -> None:
    files: dict[str, Any] = {f"layer_{number}.safetensors": tensors() for number in (12, 3)}
    folder = write(tmp_path / "esmc", files | {"config.json": config()})
    with pytest.raises(errors.CheckpointError, match=r"of one: layer_3.safetensors, layer_12.safetensors"):
        import_dictionary(folder, model="esmc_300m", sites="a")
    dictionary = import_dictionary(folder / "layer_12.safetensors", model="esmc_300m", sites="a")
    assert dictionary.facts.imported is not None
    assert dictionary.facts.imported["file"] == "layer_12.safetensors"


@pytest.mark.parametrize(
    ("document", "changes", "said"),
    [
        (config(model_type="bert"), {}, "model_type is 'bert'"),
        (config(k=LATENTS + 1), {}, "k is 21, of 20 latents"),
        (config(d_model=7), {}, "d_model is 7, and the weights have 6"),
        (config(codebook_dim=7), {}, "codebook_dim is 7, and the weights have 20"),
        (config(), {"b_enc": torch.ones(LATENTS)}, "b_enc"),
        (config(), {"max": torch.ones(3)}, "max is [3]"),
        (config(), {"W_enc": torch.ones(3)}, "no matrix W_enc"),
    ],
)
def test_what_is_refused(document: dict[str, Any], changes: Tensors, said: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "esmc", {"config.json": document, "layer_3.safetensors": tensors(**changes)})
    with pytest.raises(errors.CheckpointError) as caught:
        read_esmc(ForeignFolder(folder))
    assert said in str(caught.value)
