"""Exports are complete or absent, and refusals name the way out. The formats are tested one by one in `formats/`."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

import trainers
from actstore import errors
from tests.trainers.exchange.made import made, rows_of
from trainers.exchange.export_dictionary import EXPORTS, export_dictionary
from trainers.exchange.facts import Activation, ModelFacts

REFUSED = {
    "saelens": made(sites=2),
    "dictionary-learning": made(sites=2),
    "sparsify": made(activation=Activation(name="relu")),
    "crosscoder": made(sites=2),
}


def test_our_own_folder_holds_everything(tmp_path: Path) -> None:
    export_dictionary(made(sites=2), tmp_path / "out")
    assert torch.equal(trainers.load(tmp_path / "out").encode(rows_of(2)), made(sites=2).encode(rows_of(2)))


@pytest.mark.parametrize("to", REFUSED)
def test_a_refusal_says_why_and_what_else_and_leaves_nothing(to: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=r"export it to .*'safetensors'"):
        export_dictionary(REFUSED[to], tmp_path / "out", to=to)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", EXPORTS)
def test_nothing_is_overwritten(to: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(errors.UsageError, match="nothing is overwritten"):
        export_dictionary(made(), tmp_path / "out", to=to)


def test_a_format_that_is_only_read_or_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no format 'interplm' to export to; there are safetensors, saelens"):
        export_dictionary(made(), tmp_path / "out", to="interplm")
    with pytest.raises(errors.UsageError, match="did you mean 'sparsify'"):
        export_dictionary(made(), tmp_path / "out", to="sparsfy")


@pytest.mark.parametrize(
    ("dictionary", "path", "said"),
    [
        ("sae", "out", r"to export is a str; give a dictionary: .*trainers\.load\('sae'\)"),
        (Path("sae"), "out", r"to export is a PosixPath; give a dictionary: .*trainers\.load\('sae'\)"),
        (None, "out", "to export is a NoneType; give what trainers.load or trainers.import_dictionary returns"),
        (made(), made(), "the folder to export to is a TrainedDictionary; give a path"),
    ],
)
def test_a_path_is_no_dictionary_and_a_dictionary_no_path(dictionary: Any, path: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        export_dictionary(dictionary, path)


def test_a_format_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no format None to export to; there are safetensors"):
        export_dictionary(made(), tmp_path / "out", to=cast("str", None))


@pytest.mark.parametrize("to", EXPORTS)
def test_the_path_of_a_local_model_is_in_no_file(to: str, tmp_path: Path) -> None:
    model = ModelFacts(name="/home/someone/secret project/esm2-tiny", weights_sha256="1" * 64)
    activation = Activation(name="relu" if to == "crosscoder" else "topk", k=None if to == "crosscoder" else 4)
    export_dictionary(made(activation=activation, model=model), tmp_path / "out", to=to)
    files = [one for one in (tmp_path / "out").rglob("*") if one.is_file()]
    assert not [one for one in files if b"someone" in one.read_bytes()]
    assert [one for one in files if b"esm2-tiny" in one.read_bytes()]
