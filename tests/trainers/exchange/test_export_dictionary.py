"""Exports are complete or absent, and refusals name the way out. The formats are tested one by one in `formats/`."""

from pathlib import Path

import pytest
import torch

import trainers
from actstore import errors
from tests.trainers.exchange.made import made, rows_of
from trainers.exchange.export_dictionary import EXPORTS, export_dictionary
from trainers.exchange.facts import Activation

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
