"""A dictionary on the Hub is the dictionary, with a card, in one commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

import trainers
from actstore import HubRepository, errors
from actstore.access.retrying import Retries
from tests.services.hub import TOKEN, Hub
from tests.trainers.exchange.made import made, rows_of
from trainers.exchange.export_dictionary import export_dictionary
from trainers.workflows.publish import publish_dictionary

NAME = "my-lab/esm2-sae"
OURS = {"README.md", "dictionary.json", "dictionary.safetensors"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield stand_in


@pytest.fixture
def source(tmp_path: Path) -> str:
    export_dictionary(made(), tmp_path / "ours")
    return str(tmp_path / "ours")


def test_what_was_published_is_loaded_from_its_name(hub: Hub, source: str) -> None:
    report = publish_dictionary(source, NAME, private=True, licence="mit", message="Here it is")
    assert set(hub.repositories[NAME].files("main") or {}) == OURS | {".gitattributes"}
    assert report.uri == f"hf://{NAME}"
    assert report.commit == hub.repositories[NAME].branches["main"]
    assert hub.repositories[NAME].messages == ["Here it is"]
    assert hub.repositories[NAME].private
    card = hub.content(NAME, "README.md").decode()
    assert f'trainers.load("hf://{NAME}")' in card
    assert 'license: "mit"' in card
    dictionary = trainers.load(report.uri)
    assert dictionary.facts.licence == "mit"
    assert dictionary.facts.tensors_sha256 == report.tensors_sha256
    assert torch.equal(dictionary.encode(rows_of(1)), made().encode(rows_of(1)))


def test_what_is_there_is_not_sent_again(hub: Hub, source: str) -> None:
    first = publish_dictionary(source, NAME)
    assert set(first.sent) == OURS
    again = publish_dictionary(source, NAME)
    assert (again.sent, again.bytes_sent, again.commit) == ((), 0, first.commit)
    export_dictionary(made(licence="mit"), Path(source).with_name("licensed"))
    changed = publish_dictionary(str(Path(source).with_name("licensed")), NAME)
    assert set(changed.sent) == {"README.md", "dictionary.json"}


def test_a_branch_a_tag_or_a_commit_is_loaded(hub: Hub, source: str) -> None:
    commit = publish_dictionary(source, NAME, revision="v2/a").commit
    assert trainers.load(f"hf://{NAME}@v2%2Fa").latents == made().latents
    assert trainers.load(f"hf://{NAME}@{commit}").latents == made().latents


def test_what_was_loaded_once_is_loaded_without_a_network(
    hub: Hub, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_dictionary(source, NAME)
    trainers.load(f"hf://{NAME}")
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert trainers.load(f"hf://{NAME}").latents == made().latents
    assert len(hub.asked) == asked
    with pytest.raises(errors.StoreError):
        trainers.load("hf://my-lab/never-loaded")


def test_a_dry_run_sends_nothing(hub: Hub, source: str) -> None:
    report = publish_dictionary(source, NAME, dry_run=True)
    assert (report.commit, set(report.sent)) == (None, OURS)
    assert hub.repositories == {}


def test_a_dry_run_without_a_network_speaks_of_no_store(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retries, "_wait", lambda *_: None)
    with Hub() as hub:
        hub.use_here(monkeypatch)
    with pytest.raises(errors.StorageUnavailableError, match="the Hub does not answer; check the network") as caught:
        publish_dictionary(source, NAME, dry_run=True)
    assert "run the same again when the storage answers" in str(caught.value)
    assert "tasks" not in str(caught.value)


def test_a_model_of_this_machine_is_published_without_its_path(hub: Hub, tmp_path: Path) -> None:
    export_dictionary(made(), tmp_path / "ours")
    facts = (tmp_path / "ours" / "dictionary.json").read_text()
    (tmp_path / "ours" / "dictionary.json").write_text(facts.replace('"memory"', '"/home/someone/esm2-tiny"'))
    publish_dictionary(str(tmp_path / "ours"), NAME)
    for file in ("dictionary.json", "README.md"):
        assert b"someone" not in hub.content(NAME, file)
        assert b"esm2-tiny" in hub.content(NAME, file).replace(b"\\", b"")


def test_a_card_of_somebody_stays(hub: Hub, source: str) -> None:
    repository = HubRepository(NAME, kind="model")
    first = repository.create(private=False)
    repository.commit({"README.md": b"mine"}, message="mine", parent=first)
    report = publish_dictionary(source, NAME)
    assert report.card_kept
    assert hub.content(NAME, "README.md") == b"mine"
    assert not publish_dictionary(source, NAME, new_card=True).card_kept
    assert hub.content(NAME, "README.md") != b"mine"


def test_weights_that_were_changed_on_the_hub_are_refused(hub: Hub, source: str) -> None:
    parent = publish_dictionary(source, NAME).commit
    assert parent is not None
    export_dictionary(made(sites=2), Path(source).with_name("other"))
    other = (Path(source).with_name("other") / "dictionary.safetensors").read_bytes()
    repository = HubRepository(NAME, kind="model")
    repository.commit({"dictionary.safetensors": other}, message="other", parent=parent)
    with pytest.raises(errors.CheckpointError, match=r"dictionary\.json says"):
        trainers.load(f"hf://{NAME}")


def test_what_is_no_dictionary_is_refused(hub: Hub, source: str) -> None:
    with pytest.raises(errors.CheckpointError, match="check the name, and log in for a private one"):
        trainers.load(f"hf://{NAME}")
    HubRepository(NAME, kind="model").create(private=False)
    with pytest.raises(errors.CheckpointError, match=r"no repository with dictionary\.json and"):
        trainers.load(f"hf://{NAME}")
    with pytest.raises(errors.UsageError, match="a data set; dictionaries are in model repositories"):
        trainers.load(f"hf://datasets/{NAME}")
    with pytest.raises(errors.UsageError, match="no name of a repository"):
        trainers.load("hf://name")


def test_secrets_are_refused_and_not_shown(hub: Hub, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.UsageError, match=r"message \(--message\)"):
        publish_dictionary(source, NAME, message="https://user:secret@host/x")
    monkeypatch.setenv("HF_TOKEN", "hf_readOnlyToken1234")
    with pytest.raises(errors.StoreError, match="the Hub refuses") as caught:
        publish_dictionary(source, NAME)
    assert "hf_readOnlyToken1234" not in str(caught.value)
    assert TOKEN not in str(caught.value)
