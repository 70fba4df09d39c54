"""Folders of dictionaries that somebody prepared: refused in one sentence, or read as data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actstore.errors import ActstoreError
from tests.hostile.mutations import MORE, damaged_bytes, mutated
from tests.trainers.exchange.formats.written import (
    crosscoder,
    kept,
    linear,
    matrices,
    saelens_config,
    trainer_config,
    write,
)
from tests.trainers.exchange.made import LATENTS, WIDTH, made, rows_of
from trainers.exchange.card import model_card
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.folder import read_folder
from trainers.exchange.formats.foreign import PROVENANCE, provenance
from trainers.exchange.import_dictionary import import_dictionary

ESMC = {"model_type": "esmc_sae", "d_model": WIDTH, "codebook_dim": LATENTS, "k": 4}
SPARSIFY = {"encoder.weight": linear()["encoder.weight"], "encoder.bias": linear()["encoder.bias"]}
SAID = {PROVENANCE: provenance(made().facts)}
FOLDERS: dict[str, dict[str, Any]] = {
    "saelens": {
        "cfg.json": saelens_config("topk", k=4) | {"metadata": {"sae_lens_version": "6.0.0", **SAID}},
        "sae_weights.safetensors": matrices(),
    },
    "dictionary-learning": {"config.json": trainer_config("AutoEncoderTopK") | SAID, "ae.pt": linear("b_dec") | kept()},
    "sparsify": {
        "cfg.json": {"k": 4, "d_in": WIDTH, **SAID},
        "sae.safetensors": SPARSIFY | {"W_dec": matrices()["W_dec"], "b_dec": matrices()["b_dec"]},
    },
    "crosscoder": {"cfg.json": {"model_name": "m"}, "cc_weights.pt": crosscoder(1)},
    "esmc": {
        "config.json": ESMC,
        "layer_3.safetensors": {name: tensor for name, tensor in matrices().items() if name != "b_enc"},
    },
}
quick = settings(max_examples=40 * MORE, deadline=None, suppress_health_check=list(HealthCheck))


def ends_well(act: Callable[[], object]) -> None:
    """No exception leaves it but those of the project, whose messages a terminal can show."""
    message = ""
    try:
        act()
    except ActstoreError as error:
        message = str(error)
    assert message.isprintable()
    assert len(message) < 4_000


def read_and_use(folder: Path, out: Path) -> None:
    dictionary = import_dictionary(folder, model="a", sites="b")
    assert dictionary.encode(rows_of(1)).isfinite().all()
    model_card(dictionary.facts)
    export_dictionary(dictionary, out)
    read_folder(out)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_folders_are_sound(name: str, tmp_path: Path) -> None:
    read_and_use(write(tmp_path / "in", FOLDERS[name]), tmp_path / "out")


@pytest.mark.parametrize("name", FOLDERS)
@given(data=st.data())
@quick
def test_any_configuration(name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = write(tmp_path_factory.mktemp("in"), FOLDERS[name])
    config = next(file for file in FOLDERS[name] if file.endswith(".json"))
    (folder / config).write_bytes(data.draw(mutated(FOLDERS[name][config])))
    ends_well(lambda: read_and_use(folder, folder / "out"))


@pytest.mark.parametrize("name", FOLDERS)
@given(data=st.data())
@quick
def test_any_bytes(name: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = write(tmp_path_factory.mktemp("in"), FOLDERS[name])
    path = folder / data.draw(st.sampled_from(sorted(FOLDERS[name])))
    path.write_bytes(data.draw(damaged_bytes(path.read_bytes())))
    ends_well(lambda: read_and_use(folder, folder / "out"))


@given(data=st.data())
@quick
def test_any_facts_of_ours(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("in") / "ours"
    export_dictionary(made(metrics={"a": 0.5}, training={"rows": 1, "steps": 2}), folder)
    facts = json.loads((folder / "dictionary.json").read_text())
    (folder / "dictionary.json").write_bytes(data.draw(mutated(facts)))

    def load_and_export() -> None:
        dictionary = read_folder(folder)
        export_dictionary(dictionary, folder / "again")
        export_dictionary(dictionary, folder / "saelens", to="saelens")

    ends_well(load_and_export)


def test_a_tensor_of_nothing(tmp_path: Path) -> None:
    empty = {"W_enc": torch.ones(0, 0), "b_enc": torch.ones(0), "W_dec": torch.ones(0, 0), "b_dec": torch.ones(0)}
    config = saelens_config(d_in=0, d_sae=0)
    folder = write(tmp_path / "in", {"cfg.json": config, "sae_weights.safetensors": empty})
    with pytest.raises(ActstoreError):
        import_dictionary(folder)
    folder = write(tmp_path / "cc", {"cc_weights.pt": {name: torch.ones(0, 0, 0) for name in crosscoder()}})
    with pytest.raises(ActstoreError):
        import_dictionary(folder, format="crosscoder", model="a", sites="b")
