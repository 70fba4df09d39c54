"""`trainer export`, `import` and `publish` as a user meets them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

import trainers
import trainers.cli
from tests.actstore.cli.command import Outcome, run_here
from tests.services.hub import Hub
from tests.trainers.exchange.formats.written import crosscoder, linear, write
from tests.trainers.exchange.made import LATENTS, WIDTH, made, rows_of
from trainers.cli.export import ExportChoice
from trainers.cli.import_folder import ImportChoice
from trainers.exchange.export_dictionary import EXPORTS, export_dictionary
from trainers.exchange.formats.table import FORMATS


def trainer(*arguments: object) -> Outcome:
    return run_here("trainer", trainers.cli.main, *arguments)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    export_dictionary(made(), tmp_path / "ours")
    return tmp_path / "ours"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield stand_in


def test_options_offer_every_format() -> None:
    assert tuple(ExportChoice) == EXPORTS
    assert tuple(ImportChoice) == tuple(FORMATS)


def test_there_and_back(ours: Path, tmp_path: Path) -> None:
    there = trainer("export", ours, tmp_path / "there", "--to", "saelens", "--json")
    assert there.code == 0, there.err
    assert (there.document["format"], there.document["features"], there.document["k"]) == ("saelens", WIDTH, 4)
    assert (tmp_path / "there" / "cfg.json").is_file()
    back = trainer("import", tmp_path / "there", tmp_path / "back")
    assert back.code == 0, back.err
    assert "resid_post.0" in back.out
    assert torch.equal(trainers.load(tmp_path / "back").encode(rows_of(1)), made().encode(rows_of(1)))


def test_what_a_folder_does_not_say_is_asked_for_and_taken(tmp_path: Path) -> None:
    source = write(tmp_path / "layer_4", {"ae.pt": linear()})
    missing = trainer("import", source, tmp_path / "out")
    assert (missing.code, missing.err.count("\n")) == (2, 1)
    assert "--model NAME" in missing.err
    assert "--site NAME" in missing.err
    options = ("--model", "esm2", "--site", "a", "--module", "b", "--row-transform", "row-sqrt-d", "--input-scale", 0.5)
    done = trainer("import", source, tmp_path / "out", "--from", "interplm", *options, "--license", "mit")
    assert done.code == 0, done.err
    facts = trainers.load(tmp_path / "out").facts
    assert facts.sites[0].model_dump() == {"name": "a", "module": "b", "width": WIDTH}
    assert (facts.row_transform, facts.input_scale, facts.licence) == ("row-sqrt-d", (0.5,), "mit")


def test_sites_are_given_with_commas(tmp_path: Path) -> None:
    source = write(tmp_path / "cc", {"cc_weights.pt": crosscoder(), "cfg.json": {}})
    done = trainer("import", source, tmp_path / "out", "--model", "m", "--site", "a,b", "--input-scale", 1, "--json")
    assert done.code == 0, done.err
    assert (done.document["sites"], done.document["latents"]) == (["a", "b"], LATENTS)


def test_a_refusal_is_a_sentence(ours: Path, tmp_path: Path) -> None:
    done = trainer("export", ours, tmp_path / "out", "--to", "crosscoder")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "(topk), so its codes there would be others; export it to 'safetensors'" in done.err
    nothing = trainer("export", tmp_path / "nothing", tmp_path / "out")
    assert nothing.code == 1
    assert "no such folder" in nothing.err


def test_a_dictionary_is_published_and_exported_from_the_hub(hub: Hub, ours: Path, tmp_path: Path) -> None:
    dry = trainer("publish", ours, "lab/sae", "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert dry.document["sent"] == ["dictionary.safetensors", "dictionary.json", "README.md"]
    assert hub.repositories == {}
    done = trainer("publish", ours, "lab/sae", "--private")
    assert done.code == 0, done.err
    assert "hf://lab/sae" in done.out
    assert hub.repositories["lab/sae"].private
    fetched = trainer("export", "hf://lab/sae", tmp_path / "fetched", "--json")
    assert json.loads(fetched.out)["model"] == "memory"
