"""A dictionary survives its folder to the bit, and a damaged folder is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from actstore import errors
from tests.trainers.exchange.made import made, rows_of
from trainers.exchange.facts import Activation
from trainers.exchange.folder import CARD, FACTS, WEIGHTS, read_folder, write_folder
from trainers.save.files import file_sha256


@pytest.mark.parametrize("name", ["topk", "relu", "jumprelu"])
def test_a_dictionary_comes_back_to_the_bit(name: str, tmp_path: Path) -> None:
    dictionary = made(sites=2, activation=Activation.model_validate({"name": name, "k": 4 if name == "topk" else None}))
    write_folder(dictionary, tmp_path / "new" / "folder")
    again = read_folder(tmp_path / "new" / "folder")
    assert again.facts == dictionary.facts.model_copy(update={"tensors_sha256": again.facts.tensors_sha256})
    assert torch.equal(again.encode(rows_of(2)), dictionary.encode(rows_of(2)))
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [CARD, FACTS, WEIGHTS]


def test_a_dictionary_in_another_format_is_written_as_float32(tmp_path: Path) -> None:
    write_folder(made().double(), tmp_path / "folder")
    assert read_folder(tmp_path / "folder").W_enc.dtype == torch.float32


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    write_folder(made(), tmp_path / "folder")
    with pytest.raises(errors.UsageError, match="nothing is overwritten"):
        write_folder(made(), tmp_path / "folder")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.TrainingError, match="cannot be written"):
        write_folder(made(), tmp_path / "file" / "folder")


def edited(folder: Path, **changes: object) -> None:
    document = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(document | changes))


def other_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    edited(folder, tensors_sha256=file_sha256(folder / WEIGHTS))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights cut": (lambda at: (at / WEIGHTS).write_bytes((at / WEIGHTS).read_bytes()[:-1]), "sha256"),
    "weights lost": (lambda at: (at / WEIGHTS).unlink(), "missing"),
    "facts lost": (lambda at: (at / FACTS).unlink(), "cannot be read"),
    "facts cut": (lambda at: (at / FACTS).write_text((at / FACTS).read_text()[:-9]), FACTS),
    "no digest": (lambda at: edited(at, tensors_sha256=None), "missing"),
    "another format": (lambda at: edited(at, format="actstore-dictionary/9"), "format"),
    "too many kept": (lambda at: edited(at, activation={"name": "topk", "k": 21}), "cannot be kept"),
    "another number of latents": (lambda at: edited(at, latents=21), "expected torch.float32"),
    "another activation": (lambda at: edited(at, activation={"name": "jumprelu", "k": None}), "activation jumprelu"),
    "a name in colours": (lambda at: edited(at, **{"\x1b[31m": 1}), r"\x1b"),
    "a weight too many": (lambda at: other_weights(at, lambda w: w.update(more=w["b_enc"].clone())), "expected"),
    "NaN": (lambda at: other_weights(at, lambda w: w["b_enc"].fill_(torch.nan)), "NaN"),
    "halves": (lambda at: other_weights(at, lambda w: w.update(b_enc=w["b_enc"].half())), "torch.float16"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused(damage: str, tmp_path: Path) -> None:
    write_folder(made(), tmp_path / "folder")
    change, said = DAMAGES[damage]
    change(tmp_path / "folder")
    with pytest.raises(errors.CheckpointError) as caught:
        read_folder(tmp_path / "folder")
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)
