"""Dictionaries go to SAELens, dictionary_learning and sparsify and come from them: the same codes of real rows."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import trainers
from actstore import open_store
from tests.conftest import need
from tests.services.peers import obstacle, run_peers
from tests.trainers.exchange.made import draw
from trainers.exchange.facts import Activation, DictionaryFacts, SiteFacts
from trainers.exchange.trained import TrainedDictionary
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store

pytestmark = pytest.mark.slow

SITE = "resid_post.3"
OURS = {
    "trained": ("saelens", "dictionary-learning", "sparsify"),
    "without-b_dec": ("saelens", "dictionary-learning", "sparsify"),
    "relu": ("saelens", "dictionary-learning"),
    "jumprelu": ("saelens", "dictionary-learning"),
    "scaled-jumprelu": ("saelens", "dictionary-learning"),
    "row-zscore": ("saelens",),
    "row-sqrt-d": ("saelens",),
}
THEIRS = (
    "saelens-standard",
    "saelens-without-b_dec",
    "saelens-topk",
    "saelens-topk-rescaled",
    "saelens-topk-layer_norm",
    "saelens-constant_norm",
    "saelens-jumprelu",
    "saelens-batchtopk-False",
    "saelens-batchtopk-True",
    "dictionary_learning-AutoEncoder",
    "dictionary_learning-AutoEncoderNew",
    "dictionary_learning-AutoEncoderTopK",
    "dictionary_learning-BatchTopKSAE",
    "dictionary_learning-MatryoshkaBatchTopKSAE",
    "dictionary_learning-JumpReluAutoEncoder",
    "sparsify-topk",
)


@pytest.fixture(scope="module")
def rows_ND(store: Path) -> Tensor:
    """Held-out rows of the shipped ESM-2."""
    with open_store(store) as opened:
        return torch.from_numpy(opened.read(opened.row_numbers("valid")[:400], [SITE]).values_NSD[:, 0].copy())


def drawn(rows_ND: Tensor, activation: Activation, *, extra: tuple[str, ...] = (), **changes: Any) -> TrainedDictionary:
    """Return a dictionary with random weights on the scale of the rows."""
    width, latents = rows_ND.shape[1], 700
    facts = DictionaryFacts(
        dictionary="any",
        sites=(SiteFacts(name=SITE, module="encoder.layer.3", width=width),),
        latents=latents,
        activation=activation,
        input_scale=(1.0,),
        model=None,
        origin="a test",
        **{"subtracts_b_dec": True} | changes,
    )
    weights = {
        "W_enc": draw(1, width, latents, seed=1) / width**0.5,
        "b_enc": draw(latents, seed=2),
        "W_dec": draw(latents, 1, width, seed=3),
        "b_dec": rows_ND.mean(dim=0)[None] + draw(1, width, seed=4),
    }
    for seed, name in enumerate(extra, start=5):
        weights[name] = draw(latents, seed=seed).abs() + 0.5
    return TrainedDictionary(facts, weights)


@pytest.fixture(scope="module")
def ours(store: Path, rows_ND: Tensor, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedDictionary]:
    out = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(dictionary="topk-sae", sites=(SITE,), latents=512, k=16, steps=60, batch_rows=256)
    read_from_store(store, config, RunOptions(out=out, device="cpu"))
    topk, relu, jump = Activation(name="topk", k=16), Activation(name="relu"), Activation(name="jumprelu")
    return {
        "trained": trainers.load(out),
        "without-b_dec": drawn(rows_ND, topk, subtracts_b_dec=False),
        "relu": drawn(rows_ND, relu),
        "jumprelu": drawn(rows_ND, jump, extra=("threshold",)),
        "scaled-jumprelu": drawn(rows_ND, jump, extra=("threshold", "rank", "latent_scale")),
        "row-zscore": drawn(rows_ND, topk, row_transform="row-zscore"),
        "row-sqrt-d": drawn(rows_ND, relu, row_transform="row-sqrt-d"),
    }


@pytest.fixture(scope="module")
def work(ours: dict[str, TrainedDictionary], rows_ND: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the libraries have been."""
    need(obstacle(), "exchange with the real libraries")
    folder = tmp_path_factory.mktemp("peers")
    save_file({"rows": rows_ND.contiguous()}, folder / "rows.safetensors")
    for name, formats in OURS.items():
        for one in formats:
            trainers.export_dictionary(ours[name], folder / "ours" / name / one, to=one)
    run_peers(folder)
    return folder


def assert_same(found: Tensor, wanted: Tensor) -> None:
    """At most 1e-5 of the size of the values."""
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


@pytest.mark.parametrize(("name", "to"), [(name, to) for name, formats in OURS.items() for to in formats])
def test_a_library_that_loads_ours_gives_our_codes(
    name: str, to: str, ours: dict[str, TrainedDictionary], rows_ND: Tensor, work: Path
) -> None:
    theirs = load_file(work / "ours" / name / f"{to}.safetensors")
    code_NF = ours[name].encode(rows_ND)
    assert 1 < float((code_NF > 0).float().sum(dim=1).mean()) < ours[name].latents / 1.5
    assert_same(theirs["code"], code_NF)
    assert_same(theirs["back"], ours[name].reconstruct(rows_ND))


@pytest.mark.parametrize("name", [name for name, formats in OURS.items() if "dictionary-learning" in formats])
def test_saelens_reads_what_is_written_for_dictionary_learning(
    name: str, ours: dict[str, TrainedDictionary], rows_ND: Tensor, work: Path
) -> None:
    theirs = load_file(work / "ours" / name / "importer-of-saelens.safetensors")
    assert_same(theirs["code"], ours[name].encode(rows_ND))
    assert_same(theirs["back"], ours[name].reconstruct(rows_ND))


@pytest.mark.parametrize("name", THEIRS)
def test_what_a_library_wrote_gives_its_codes_here(name: str, rows_ND: Tensor, work: Path) -> None:
    dictionary = trainers.import_dictionary(work / "theirs" / name, model="peer/model", sites=SITE)
    theirs = load_file(work / "theirs" / f"{name}.safetensors")
    assert float((theirs["code"] > 0).float().sum(dim=1).mean()) > 1
    assert_same(dictionary.encode(rows_ND), theirs["code"])
    assert_same(dictionary.reconstruct(rows_ND), theirs["back"])


def test_every_folder_of_the_libraries_is_tried(work: Path) -> None:
    assert {one.name for one in (work / "theirs").iterdir() if one.is_dir()} == set(THEIRS)


@pytest.mark.parametrize(("name", "to"), [(name, to) for name, formats in OURS.items() for to in formats])
def test_an_export_comes_back(
    name: str, to: str, ours: dict[str, TrainedDictionary], rows_ND: Tensor, work: Path
) -> None:
    unknown = ours[name].facts.model is None
    again = trainers.import_dictionary(work / "ours" / name / to, model="any" if unknown else None)
    assert_same(again.encode(rows_ND), ours[name].encode(rows_ND))
    assert_same(again.reconstruct(rows_ND), ours[name].reconstruct(rows_ND))
    assert again.facts.sites == ours[name].facts.sites
    assert again.facts.manifests == ours[name].facts.manifests
