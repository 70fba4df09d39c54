"""Trained transcoders: raw rows of the read sites in, raw rows of the written sites out, alone and on a model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

import trainers
from actstore import errors, open_store
from tests.trainers.exchange.spliced import hooked, loaded, watched
from trainers.dictionaries.dictionary import Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.exchange.facts import DictionaryFacts, SiteFacts
from trainers.exchange.fold import activation_of, folded_weights
from trainers.exchange.trained import TrainedDictionary
from trainers.fit.config import TrainConfig
from trainers.workflows.options import RunOptions
from trainers.workflows.read_from_store import read_from_store

NAMES = ("resid_post.0", "resid_post.3", "resid_post.1", "resid_post.2")
SCALES = (0.02, 3.0, 7.0, 0.5)
KINDS = [name for name, kind in DICTIONARIES.items() if kind.takes_targets]


def pair(name: str, *, width: int = 6, latents: int = 20, **options: Any) -> tuple[Any, TrainedDictionary]:
    """Return a dictionary of training, and what it is for raw rows."""
    kind = DICTIONARIES[name]
    layers = 2 if kind.each_site_has_latents else 1
    shape = Shape(
        4, width, layers * latents, 4 if kind.keeps_k else None, reads=(2, 0)[:layers], writes=(3, 1)[:layers]
    )
    dictionary = kind(shape, **options)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in [*dictionary.parameters(), *(one for one in dictionary.buffers() if one.ndim)]:
            tensor.copy_(torch.randn(tensor.shape, generator=generator) / width**0.5)
    facts = DictionaryFacts(
        dictionary=name,
        sites=tuple(SiteFacts(name=one, module=f"encoder.layer.{one[-1]}", width=width) for one in NAMES),
        reads=tuple(NAMES[site] for site in shape.read),
        writes=tuple(NAMES[site] for site in shape.written),
        layered=kind.each_site_has_latents,
        latents=shape.latents,
        activation=activation_of(dictionary.eval()),
        subtracts_b_dec=kind.subtracts_b_dec,
        input_scale=SCALES,
        model=None,
        origin="a test",
    )
    return dictionary, TrainedDictionary(facts, folded_weights(dictionary, torch.tensor(SCALES)))


def rows_of(width: int = 6, rows: int = 30) -> Tensor:
    return torch.randn(rows, len(NAMES), width, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("skip", [False, True])
def test_codes_and_reconstructions_are_those_of_training(name: str, skip: bool) -> None:
    if skip and "skip" not in DICTIONARIES[name].options:
        pytest.skip("cross-layer transcoders have no skip")
    dictionary, trained = pair(name, **({"skip": True} if skip else {}))
    scaled_BSD, scale_S1 = rows_of(), torch.tensor(SCALES)[:, None]
    read, written = list(dictionary.shape.read), list(dictionary.shape.written)
    raw_BRD = (scaled_BSD / scale_S1)[:, read]
    code_BF = trained.encode(raw_BRD)
    torch.testing.assert_close(code_BF, dictionary.encode(scaled_BSD).detach(), rtol=1e-4, atol=1e-5)
    wanted_BWD = dictionary(scaled_BSD).reconstruction_BSD.detach()
    back_BWD = trained.reconstruct(raw_BRD)
    torch.testing.assert_close(back_BWD * scale_S1[written], wanted_BWD, rtol=1e-4, atol=1e-5)
    decoded = trained.decode(trained.encode(raw_BRD, sparse=True), rows=raw_BRD if skip else None)
    torch.testing.assert_close(decoded.reshape(back_BWD.shape), back_BWD, rtol=1e-4, atol=1e-5)
    targets_BWD = (scaled_BSD / scale_S1)[:, written]
    torch.testing.assert_close(trained.error(raw_BRD, targets=targets_BWD), targets_BWD - back_BWD)
    torch.testing.assert_close(trained.norm_FS, dictionary.decoder_norm_FS().detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_our_own_folder_gives_it_back(name: str, tmp_path: Path) -> None:
    _, trained = pair(name, **({"skip": True} if "skip" in DICTIONARIES[name].options else {}))
    trainers.export_dictionary(trained, tmp_path / "out")
    again = trainers.load(tmp_path / "out")
    raw = rows_of()[:, : len(trained.reads)]
    assert (again.reads, again.writes, again.facts.layered) == (trained.reads, trained.writes, trained.facts.layered)
    assert torch.equal(again.encode(raw), trained.encode(raw))
    assert torch.equal(again.reconstruct(raw), trained.reconstruct(raw))
    assert "transcoder" in (tmp_path / "out" / "README.md").read_text()


def test_one_site_needs_no_axis() -> None:
    _, trained = pair("transcoder-topk")
    rows_BD = rows_of()[:, 0].numpy()
    assert trained.reconstruct(rows_BD).shape == rows_BD.shape
    assert trained.decode(trained.encode(rows_BD)).shape == rows_BD.shape
    np.testing.assert_allclose(trained.error(rows_BD, targets=rows_BD), rows_BD - trained.reconstruct(rows_BD))


def test_what_other_sites_need_is_asked_for() -> None:
    _, trained = pair("transcoder-topk", skip=True)
    rows_BD = rows_of()[:, 0]
    with pytest.raises(errors.UsageError, match=r"writes resid_post\.2: error\(values, targets=\.\.\.\)"):
        trained.error(rows_BD)
    with pytest.raises(errors.UsageError, match=r"has a skip connection from the rows: decode\(code, rows=values\)"):
        trained.decode(trained.encode(rows_BD))
    with pytest.raises(errors.UsageError, match=r"this dictionary reads \[rows, 1, 6\]"):
        trained.encode(rows_of())


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("transcoder-topk", "saelens", "SAELens has no topk transcoders"),
        ("transcoder-jumprelu", "sparsify", "sparsify keeps the K largest"),
        ("transcoder-topk", "dictionary-learning", "has no transcoders, and this dictionary reads resid_post.1 and"),
        ("transcoder-topk", "crosscoder", "has no transcoders"),
        ("clt-jumprelu", "saelens", "has no cross-layer transcoders"),
        ("clt-topk", "sparsify", "keeps the K largest"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(name: str, to: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match=message) as raised:
        trainers.export_dictionary(pair(name)[1], tmp_path / "out", to=to)
    assert "'safetensors'" in str(raised.value)


@pytest.fixture(scope="module")
def model(esm2_tiny: Path) -> Any:
    return loaded("EsmModel", esm2_tiny)


@pytest.fixture(scope="module")
def inputs(esm2_tiny: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(esm2_tiny)("MKTAYIAKQRQISFVK", return_tensors="pt")


def on(trained: TrainedDictionary, model: Any, **options: Any) -> Any:
    return trained.on(model, allow_other_model=True, **options)


@pytest.mark.parametrize("name", ["transcoder-topk", "clt-topk"])
def test_codes_are_read_where_it_reads(name: str, model: Any, inputs: Any) -> None:
    _, trained = pair(name, width=128)
    blocks = [model.encoder.layer[int(site[-1])] for site in trained.reads]
    with torch.no_grad(), watched(*blocks) as seen, on(trained, model) as placed:
        before = model(**inputs).last_hidden_state
    rows_NRD = torch.stack([seen[block][0] for block in blocks], dim=1)
    torch.testing.assert_close(placed.codes[0], trained.encode(rows_NRD))
    with torch.no_grad():
        assert torch.equal(model(**inputs).last_hidden_state, before)


def test_a_transcoder_replaces_where_it_writes(model: Any, inputs: Any) -> None:
    """It reads block 1 and writes block 2; later blocks see what is there then."""
    _, trained = pair("transcoder-topk", width=128, skip=True)
    read, written = model.encoder.layer[1], model.encoder.layer[2]
    with torch.no_grad(), watched(read) as seen, on(trained, model, replace=True, keep_error=False):
        found = model(**inputs).last_hidden_state
    new_TD = trained.reconstruct(seen[read][0])
    with torch.no_grad(), hooked({written: new_TD[None].to}):
        wanted = model(**inputs).last_hidden_state
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["transcoder-topk", "clt-topk"])
def test_with_its_error_only_edits_change_the_model(name: str, model: Any, inputs: Any) -> None:
    _, trained = pair(name, width=128)
    with torch.no_grad():
        before = model(**inputs).last_hidden_state
        with on(trained, model, replace=True):
            same = model(**inputs).last_hidden_state
        with on(trained, model, set={0: 50.0}) as placed:
            other = model(**inputs).last_hidden_state
    torch.testing.assert_close(same, before)
    assert float(placed.codes[..., 0].min()) == 50.0
    assert not torch.allclose(other, before, atol=1e-2)


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(dictionary="transcoder-topk", sites=("resid_post.0",), targets=("resid_post.3",), skip=True),
        TrainConfig(dictionary="transcoder-batch-topk", sites=("resid_post.3",), targets=("resid_post.0",)),
        TrainConfig(dictionary="clt-jumprelu", sites=("resid_post.*",)),
    ],
)
def test_a_run_is_loaded_ready_for_raw_rows(config: TrainConfig, store: Path, tmp_path: Path) -> None:
    config = config.model_copy(update={"latents": 64, "k": None if "jump" in config.dictionary else 8, "steps": 30})
    options = RunOptions(out=tmp_path / "run", device="cpu")
    result = read_from_store(store, config.model_copy(update={"batch_rows": 256}), options)
    trained = trainers.load(tmp_path / "run")
    assert set(result.explained_variance_per_site) == set(trained.writes)
    with open_store(store) as opened:
        numbers = opened.row_numbers("valid")
        read, written = (opened.read(numbers, list(names)).values_NSD for names in (trained.reads, trained.writes))
    error_NSD = trained.error(read.astype(np.float32), targets=written.astype(np.float32))
    scale_S11 = np.array(trained.facts.scales(trained.writes))[:, None]
    spread = (((written - written.mean(axis=0)) * scale_S11) ** 2).sum()
    assert result.explained_variance == pytest.approx(1 - ((error_NSD * scale_S11) ** 2).sum() / spread, abs=2e-3)


def test_a_target_that_the_store_lacks_is_named(store: Path, tmp_path: Path) -> None:
    config = TrainConfig(dictionary="transcoder-topk", sites=("resid_post.0",), targets=("resid_post.4",))
    with pytest.raises(errors.SiteError, match=r"no site 'resid_post\.4'; the store has resid_post\.0, resid_post\.3"):
        read_from_store(store, config, RunOptions(out=tmp_path / "run"))


def test_folders_of_before_transcoders_are_read() -> None:
    facts = filled_facts()
    assert (facts.read, facts.written, facts.layered) == (("a",), ("a",), False)


def filled_facts() -> DictionaryFacts:
    fields = pair("transcoder-topk")[1].facts.model_dump(mode="json")
    for name in ("reads", "writes", "layered"):
        del fields[name]
    sites = [{"name": "a", "module": None, "width": 6}]
    return DictionaryFacts.model_validate(fields | {"sites": sites, "input_scale": [1.0]})
