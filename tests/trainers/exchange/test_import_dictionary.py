"""Which folder is what, and what must be said about it."""

from pathlib import Path
from typing import Any

import pytest
import torch

import trainers
from actstore import errors
from tests.trainers.exchange.formats.written import crosscoder, linear, matrices, saelens_config, trainer_config, write
from tests.trainers.exchange.made import LATENTS, made, rows_of
from tests.trainers.in_memory import origin_of, plan_of, state_of, stream_of
from tests.trainers.planted import Planted
from trainers.exchange.export_dictionary import export_dictionary
from trainers.exchange.facts import ModelFacts
from trainers.exchange.import_dictionary import import_dictionary
from trainers.fit.config import TrainConfig
from trainers.save.checkpoint import write_checkpoint
from trainers.save.run_folder import RunFolder, RunRecord


@pytest.fixture
def relu(tmp_path: Path) -> Path:
    """A folder of InterPLM, which says neither model nor site."""
    return write(tmp_path / "layer_4", {"ae.pt": linear()})


def test_everything_that_is_given_is_kept(relu: Path, tmp_path: Path) -> None:
    dictionary = import_dictionary(
        relu,
        format="interplm",
        model="facebook/esm2_t6_8M_UR50D",
        revision="abc",
        weights_sha256="2" * 64,
        sites="resid_post.3",
        modules="esm.encoder.layer.3",
        licence="mit",
        citation="Someone",
    )
    assert dictionary.facts.model == ModelFacts(
        name="facebook/esm2_t6_8M_UR50D", revision="abc", weights_sha256="2" * 64
    )
    assert (dictionary.sites, dictionary.facts.sites[0].module) == (("resid_post.3",), "esm.encoder.layer.3")
    assert (dictionary.facts.licence, dictionary.facts.citation) == ("mit", "Someone")
    assert "InterPLM" in dictionary.facts.origin
    assert dictionary.facts.imported is not None
    assert dictionary.facts.imported["format"] == "interplm"
    export_dictionary(dictionary, tmp_path / "ours")
    again = trainers.load(tmp_path / "ours")
    assert again.facts.imported == dictionary.facts.imported
    assert torch.equal(again.encode(rows_of(1)), dictionary.encode(rows_of(1)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "does not say the parent model (--model NAME) and its site (--site NAME); give what it was trained on"),
        ({"model": "a"}, "does not say its site (--site NAME)"),
        ({"sites": "a"}, "does not say the parent model (--model NAME)"),
        ({"model": "a", "sites": ["a", "b"]}, "2 of --site, and the weights have 1 sites"),
        ({"model": "a", "sites": "a", "modules": ["a", "b"]}, "2 of --module"),
        ({"model": "a", "sites": "a", "weights_sha256": "abc"}, "is no SHA-256 in 64 hexadecimal digits"),
        ({"model": "a", "sites": "a", "input_scale": 0.0}, "--input-scale"),
        ({"model": "a", "sites": "a", "input_scale": [1.0, 2.0]}, "--input-scale"),
        ({"model": "a", "sites": "a", "input_scale": float("nan")}, "--input-scale"),
        ({"format": "saelenz"}, "no format 'saelenz'; did you mean 'saelens'?"),
        ({"row_transform": "zscore"}, "no row transform (--row-transform) 'zscore'; did you mean 'row-zscore'?"),
        ({"format": 5}, "no format 5; there are saelens"),
        ({"model": "a", "sites": 5}, "sites is 5; give a text, or for sites and modules a list of texts"),
        ({"model": "a", "sites": [None]}, "sites is [None]; give a text"),
        ({"model": 5, "sites": "a"}, "model is 5; give a text"),
        ({"model": "a", "sites": "a", "input_scale": "half"}, "--input-scale 'half': give one positive number"),
        ({"model": "a", "sites": "a", "input_scale": [None]}, "--input-scale [None]: give one positive number"),
        ({"format": "saelens"}, "not of SAELens by the names of its files"),
    ],
)
def test_what_must_be_said(relu: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.UsageError) as caught:
        import_dictionary(relu, **given)
    assert said in str(caught.value)


@pytest.mark.parametrize("option", ["model", "revision", "sites", "modules", "licence", "citation"])
def test_credentials_are_neither_kept_nor_shown(relu: Path, option: str) -> None:
    given = {"model": "a", "sites": "a"} | {option: "https://me:swordfish@host/x"}
    with pytest.raises(errors.UsageError) as caught:
        import_dictionary(relu, **given)  # type: ignore[arg-type]
    assert "swordfish" not in str(caught.value)


def test_a_scale_of_training_goes_into_the_weights(relu: Path) -> None:
    plain = import_dictionary(relu, model="a", sites="a")
    scaled = import_dictionary(relu, model="a", sites="a", input_scale=0.25)
    torch.testing.assert_close(scaled.encode(rows_of(1)), plain.encode(rows_of(1) * 0.25))
    torch.testing.assert_close(scaled.reconstruct(rows_of(1)) * 0.25, plain.reconstruct(rows_of(1) * 0.25))
    assert scaled.facts.input_scale == (0.25,)


def test_an_export_of_ours_is_not_scaled_a_second_time(tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "out", to="saelens")
    with pytest.raises(errors.UsageError, match=r"whose weights have the scale of training \(0\.5\) already; leave"):
        import_dictionary(tmp_path / "out", input_scale=0.5)
    assert import_dictionary(tmp_path / "out", input_scale=1).facts.input_scale == (0.5,)


def test_each_site_of_a_crosscoder_has_its_scale(tmp_path: Path) -> None:
    folder = write(tmp_path / "cc", {"cc_weights.pt": crosscoder(), "cfg.json": {}})
    plain = import_dictionary(folder, model="a", sites=["a", "b"])
    scaled = import_dictionary(folder, model="a", sites=["a", "b"], input_scale=[0.1, 3.0])
    factor_S1 = torch.tensor([[0.1], [3.0]])
    torch.testing.assert_close(scaled.encode(rows_of(2)), plain.encode(rows_of(2) * factor_S1))


def test_a_transform_of_rows_can_be_given(relu: Path) -> None:
    dictionary = import_dictionary(relu, model="a", sites="a", row_transform="row-zscore")
    assert dictionary.facts.row_transform == "row-zscore"


def test_what_the_user_says_counts_more_than_the_folder(tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "out", to="saelens")
    dictionary = import_dictionary(tmp_path / "out", model="another", sites="its.site", modules="its.module")
    assert dictionary.facts.model == ModelFacts(name="another")
    assert (dictionary.sites, dictionary.facts.sites[0].module) == (("its.site",), "its.module")
    same = import_dictionary(tmp_path / "out", model="memory")
    assert same.facts.model == made().facts.model


TRAINED: dict[str, Any] = {"training": {"steps": 9}, "metrics": {"explained_variance": 0.9}, "licence": "mit"}


@pytest.mark.parametrize(
    "given",
    [
        {"model": "another"},
        {"model": "memory", "weights_sha256": "2" * 64},
        {"weights_sha256": "2" * 64},
        {"revision": "v2"},
        {"sites": "resid_post.5"},
    ],
)
@pytest.mark.parametrize("to", ["saelens", "dictionary-learning", "sparsify"])
def test_another_model_or_site_takes_nothing_of_the_rows_of_the_old_one(
    given: dict[str, Any], to: str, tmp_path: Path
) -> None:
    model = ModelFacts(name="memory", revision="v1", dtype="float32", weights_sha256="1" * 64)
    export_dictionary(made(model=model, **TRAINED), tmp_path / "out", to=to)
    facts = import_dictionary(tmp_path / "out", **given).facts
    assert (facts.manifests, facts.training, facts.metrics) == ((), None, {})
    assert facts.sites[0].module is None
    assert facts.model is not None
    if "sites" not in given:
        told = {"name" if key == "model" else key: value for key, value in given.items()}
        assert facts.model == ModelFacts(**{"name": "memory"} | told)
    assert facts.licence == "mit"  # of the dictionary, whatever it reads
    assert facts.origin.endswith("imported for another model or other sites than the files say: memory, resid_post.0")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "memory"},
        {"model": "/models/memory"},
        {"model": "its name on the Hub", "weights_sha256": "1" * 64},
        {"revision": "v1"},
    ],
)
def test_the_same_model_keeps_what_is_known(given: dict[str, Any], tmp_path: Path) -> None:
    export_dictionary(made(**TRAINED), tmp_path / "out", to="saelens")
    facts = import_dictionary(tmp_path / "out", **given).facts
    assert (facts.manifests, facts.training, facts.metrics) == (
        made().facts.manifests,
        TRAINED["training"],
        TRAINED["metrics"],
    )
    assert facts.sites == made().facts.sites
    assert facts.model is not None
    assert facts.model.weights_sha256 == "1" * 64
    assert facts.model.name == given.get("model", "memory")


def test_a_name_that_cannot_be_printed_is_not_taken_from_a_folder(tmp_path: Path) -> None:
    metadata = {"sae_lens_version": "6.0.0", "model_name": "a\x1b[31m", "hook_name": "b"}
    config = saelens_config(metadata=metadata)
    folder = write(tmp_path / "sae", {"cfg.json": config, "sae_weights.safetensors": matrices()})
    with pytest.raises(errors.UsageError, match="does not say the parent model"):
        import_dictionary(folder)


def test_the_only_dictionary_inside_a_folder_is_taken(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "trainer_0", {"config.json": trainer_config("AutoEncoder"), "ae.pt": linear()})
    assert import_dictionary(tmp_path / "runs", sites="a").latents == LATENTS
    write(tmp_path / "runs" / "trainer_1", {"config.json": trainer_config("AutoEncoder"), "ae.pt": linear()})
    with pytest.raises(errors.UsageError, match="2 dictionaries; give the folder of one: trainer_0, trainer_1"):
        import_dictionary(tmp_path / "runs", sites="a")


def test_a_folder_of_no_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UsageError, match="no known format by the names of its files; there are saelens"):
        import_dictionary(tmp_path)
    with pytest.raises(errors.CheckpointError, match="no such folder"):
        import_dictionary(tmp_path / "nothing")
    with pytest.raises(errors.UsageError, match="read from a path, not from a TrainedDictionary"):
        import_dictionary(made())  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError, match=r"download it first .* trainers\.load\(...\) opens one that"):
        import_dictionary("hf://my-lab/sae")


def test_what_is_ours_is_opened_and_not_imported(one_site: Planted, tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "exported")
    stream = stream_of(one_site.values_NSD)
    plan = plan_of(stream, latents=64, k=4)
    run = RunFolder(tmp_path / "run")
    run.begin(RunRecord(source="memory", config=TrainConfig(), options={}))
    checkpoint = write_checkpoint(
        run.checkpoints, state_of(stream, plan), plan=plan, origin=origin_of(stream), cursor=stream.cursor
    )
    for path, what in (
        (tmp_path / "exported", "a dictionary"),
        (tmp_path / "exported" / "dictionary.safetensors", "a dictionary"),
        (run.path, "a run"),
        (run.path / "run.json", "a run"),
        (run.checkpoints, "the folder of the checkpoints of a run"),
        (checkpoint, "a checkpoint"),
        (checkpoint / "dictionary.safetensors", "a checkpoint"),
    ):
        with pytest.raises(errors.UsageError) as caught:
            import_dictionary(path, model="a", sites="b")
        assert f"this is {what} of ours" in str(caught.value)
        assert "trainers.load(...) opens it, and 'trainer export' writes it" in str(caught.value)
