"""Folders of sparsify. `test_peers.py` asks the library itself."""

from pathlib import Path
from typing import Any

import pytest
import torch

from actstore import errors
from tests.trainers.exchange.formats.written import Tensors, linear, matrices, write
from tests.trainers.exchange.made import LATENTS, WIDTH, made, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.sparsify import read_sparsify
from trainers.exchange.import_dictionary import import_dictionary


def tensors() -> Tensors:
    state = linear("b_dec")
    return {name: state[name] for name in ("encoder.weight", "encoder.bias", "b_dec")} | {"W_dec": matrices()["W_dec"]}


def config(**changes: Any) -> dict[str, Any]:
    return {"activation": "topk", "k": 4, "d_in": WIDTH, "num_latents": 0, "transcode": False} | changes


def folder_of(tmp_path: Path, document: dict[str, Any], **changes: torch.Tensor) -> Path:
    return write(tmp_path / "sparsify", {"cfg.json": document, "sae.safetensors": tensors() | changes})


def test_neither_model_nor_site_is_said(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, config())
    with pytest.raises(errors.UsageError) as caught:
        import_dictionary(folder)
    assert "does not say the parent model (--model NAME) and its site (--site NAME)" in str(caught.value)
    dictionary = import_dictionary(folder, model="peer/model", sites="layers.3")
    assert dictionary.facts.activation.k == 4
    assert dictionary.facts.subtracts_b_dec


@pytest.mark.parametrize(
    ("document", "changes", "said"),
    [
        (config(activation="groupmax"), {}, "activation is 'groupmax'"),
        (config(transcode=True), {}, "transcode is True"),
        (config(skip_connection=True), {}, "skip_connection is True"),
        (config(k=LATENTS + 1), {}, "k is 21, of 20 latents"),
        (config(d_in=5), {}, "d_in is 5, and the weights have 6"),
        (config(), {"W_skip": torch.ones(WIDTH, WIDTH)}, "W_skip"),
        (config(), {"encoder.weight": torch.ones(WIDTH)}, "no matrix encoder.weight"),
    ],
)
def test_what_is_refused(document: dict[str, Any], changes: Tensors, said: str, tmp_path: Path) -> None:
    with pytest.raises(errors.CheckpointError) as caught:
        read_sparsify(ForeignFolder(folder_of(tmp_path, document, **changes)))
    assert said in str(caught.value)


def test_an_export_comes_back(tmp_path: Path) -> None:
    export_dictionary(made(subtracts_b_dec=False), tmp_path / "out", to="sparsify")
    again = import_dictionary(tmp_path / "out")
    assert again.facts.subtracts_b_dec
    torch.testing.assert_close(again.encode(rows_of(1)), made(subtracts_b_dec=False).encode(rows_of(1)))
