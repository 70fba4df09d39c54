"""A store on the Hub is the store, whatever happened on the way."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import zarr
from huggingface_hub import constants

import actstore
from actstore.access.open import LocalObjects, open_objects
from actstore.errors import CorruptObjectError, IncompleteStoreError, StoreError, UsageError
from actstore.store.read.open import open_manifest
from actstore.workflows.publish import publish_store
from actstore.workflows.publishing.hub import HubRepository
from tests.actstore.cli.command import actstore as run_actstore
from tests.services.hub import TOKEN, Hub

StoreOf = Callable[..., Path]
NAME = "my-lab/esm2-8m"
DOCUMENTS = {".gitattributes", "README.md", "croissant.json"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        yield stand_in


def published(hub: Hub, revision: str = "main") -> dict[str, bytes]:
    files = hub.repositories[NAME].files(revision) or {}
    return {path: hub.content(NAME, path, revision) for path in files if path not in DOCUMENTS}


def stored(store: Path) -> dict[str, bytes]:
    objects = LocalObjects(store)
    return {path: objects.get(path) for path in objects.sizes()}


def test_the_repository_has_every_byte_of_the_store_and_a_card(hub: Hub, store_of: StoreOf) -> None:
    report = publish_store(store_of(), NAME, private=True, message="Here it is")
    assert published(hub) == stored(store_of())
    assert report.files == report.files_sent == len(stored(store_of())) + 2
    assert report.commit == hub.repositories[NAME].branches["main"]
    assert report.manifest_sha256 == open_manifest(store_of()).digest
    assert open_manifest(report.uri).digest == report.manifest_sha256
    assert hub.repositories[NAME].private
    assert set(hub.repositories[NAME].messages) == {"Here it is"}
    assert report.manifest_sha256.encode() in hub.content(NAME, "README.md")
    assert not report.card_kept


def test_what_publishing_adds_belongs_to_the_store(hub: Hub, store_of: StoreOf) -> None:
    verified = actstore.verify_store(publish_store(store_of(), NAME).uri, recompute=False)
    assert set(hub.repositories[NAME].files("main") or {}) > DOCUMENTS
    assert (verified.ok, verified.unnamed) == (True, ())


def test_a_store_elsewhere_is_published_through_copies_that_are_removed(
    hub: Hub, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    uri = f"memory://{uuid4().hex}/store"
    for path, data in stored(store_of()).items():
        open_objects(uri).put(path, data)
    publish_store(uri, NAME)
    assert published(hub) == stored(store_of())
    assert not list(tmp_path.iterdir())


def test_publishing_again_sends_nothing(hub: Hub, store_of: StoreOf) -> None:
    first = publish_store(store_of(), NAME)
    commits = len(hub.repositories[NAME].commits)
    again = publish_store(store_of(), NAME)
    assert (again.files_sent, again.bytes_sent, again.commit) == (0, 0, first.commit)
    assert len(hub.repositories[NAME].commits) == commits


def test_readers_find_no_store_before_all_of_it_is_there(
    hub: Hub, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actstore.workflows.publish._BATCH_FILES", 10)
    publish_store(store_of(), NAME)
    *before, last = hub.repositories[NAME].commits.values()
    assert len(before) > 5
    assert "manifest.json" in last
    assert not [files for files in before if "manifest.json" in files]
    assert published(hub) == stored(store_of())


def test_after_a_kill_only_what_is_missing_is_sent(hub: Hub, store_of: StoreOf) -> None:
    publishing = (
        "from actstore.workflows import publish; publish._BATCH_FILES = 12\n"
        "import sys; publish.publish_store(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-W", "ignore", "-c", publishing, str(store_of()), NAME]
    hub.hold_after = 30
    process = subprocess.Popen(command, env=os.environ | hub.environment(), stderr=subprocess.DEVNULL)
    assert hub.holding.wait(120)
    process.send_signal(signal.SIGKILL)
    process.wait()
    hub.hold_after = None
    hub.release.set()
    assert "manifest.json" not in (hub.repositories[NAME].files("main") or {})
    done = subprocess.run(command, env=os.environ | hub.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert published(hub) == stored(store_of())
    # What was in flight when the process was killed may arrive twice; the rest of the first thirty does not.
    again = [sha256 for sha256 in set(hub.puts) if hub.puts.count(sha256) > 1]
    assert len(again) <= 8
    assert len(hub.puts) >= 40


def test_a_dry_run_sends_nothing_and_says_what_is_missing(hub: Hub, store_of: StoreOf) -> None:
    report = publish_store(store_of(), NAME, dry_run=True)
    assert not hub.repositories
    assert {path for path, _ in report.to_send} == stored(store_of()).keys() | {"README.md", "croissant.json"}
    assert report.bytes_sent == report.bytes == sum(size for _, size in report.to_send)
    publish_store(store_of(), NAME)
    assert publish_store(store_of(), NAME, dry_run=True).to_send == ()


def test_a_damaged_store_is_not_published(hub: Hub, own_store: StoreOf) -> None:
    store = own_store()
    path = store / "sites" / "embed" / "values" / "c" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(CorruptObjectError, match=r"values/c/0/0 has sha256 .* it is not published"):
        publish_store(store, NAME)
    assert set(hub.repositories[NAME].files("main") or {}) == {".gitattributes"}


def test_an_unfinished_store_is_published_if_that_is_asked_for(hub: Hub, own_store: StoreOf, store_of: StoreOf) -> None:
    store = own_store()
    (store / "commits" / "2.json").unlink()
    (store / "manifest.json").unlink()
    with pytest.raises(IncompleteStoreError, match="or publish what is done with --incomplete"):
        publish_store(store, NAME)
    assert not hub.repositories
    publish_store(store, NAME, incomplete=True)
    found = open_manifest(f"hf://datasets/{NAME}")
    assert (found.complete, found.digest) == (False, open_manifest(store).digest)
    assert b"tasks are extracted" in hub.content(NAME, "README.md")
    assert not publish_store(store_of(), NAME).card_kept, "it is ours"
    assert published(hub) == stored(store_of())
    assert b"tasks are extracted" not in hub.content(NAME, "README.md")


def test_another_store_is_not_written_over_but_has_a_branch(hub: Hub, store_of: StoreOf) -> None:
    other = store_of(**{"store.encoding": "float16"})
    publish_store(store_of(), NAME)
    with pytest.raises(UsageError, match=r"branch main holds another store; .* with --revision"):
        publish_store(other, NAME)
    report = publish_store(other, NAME, revision="float16")
    assert open_manifest(report.uri).digest == open_manifest(other).digest
    assert open_manifest(f"hf://datasets/{NAME}").digest == open_manifest(store_of()).digest


def test_a_publisher_that_another_one_overtakes_stops_and_can_go_on(
    hub: Hub, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actstore.workflows.publish._BATCH_FILES", 20)
    overtaken: list[str] = []
    send = HubRepository.commit

    def commit(repository: HubRepository, files: Mapping[str, Path | bytes], *, message: str, parent: str) -> str:
        if not overtaken:
            overtaken.append(send(repository, {"theirs.json": b"{}"}, message="theirs", parent=parent))
        return send(repository, files, message=message, parent=parent)

    monkeypatch.setattr(HubRepository, "commit", commit)
    with pytest.raises(StoreError, match="somebody else wrote to branch main meanwhile"):
        publish_store(store_of(), NAME)
    assert set(hub.repositories[NAME].files("main") or {}) == {".gitattributes", "theirs.json"}
    publish_store(store_of(), NAME)
    assert open_manifest(f"hf://datasets/{NAME}").digest == open_manifest(store_of()).digest


def test_without_a_network_the_error_comes_at_once_and_is_ours(
    hub: Hub, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    began = time.monotonic()
    done = run_actstore("publish", store, NAME, "--dry-run")
    assert time.monotonic() - began < 20
    assert done.code == 1
    assert done.err.startswith("error: the Hub does not answer; check the network (HTTPS_PROXY) and its address")
    assert done.err.count("\n") == 1


def test_a_card_that_somebody_wrote_is_kept(hub: Hub, store_of: StoreOf) -> None:
    head = HubRepository(NAME).create(private=False)
    HubRepository(NAME).commit({"README.md": b"mine"}, message="mine", parent=head)
    assert publish_store(store_of(), NAME).card_kept
    assert hub.content(NAME, "README.md") == b"mine"
    assert not publish_store(store_of(), NAME, new_card=True).card_kept
    assert hub.content(NAME, "README.md") != b"mine"


def test_the_published_files_are_plain_zarr(hub: Hub, store_of: StoreOf, tmp_path: Path) -> None:
    publish_store(store_of(**{"store.encoding": "float16"}), NAME)
    for path in hub.repositories[NAME].files("main") or {}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(hub.content(NAME, path))
    group = zarr.open_group(tmp_path, mode="r")
    values = group["sites/embed/values"]
    assert isinstance(values, zarr.Array)
    store = actstore.open_store(store_of(**{"store.encoding": "float16"}))
    assert (values[:50] == store.site("embed")[:50]).all()


@pytest.mark.slow
def test_mlcroissant_reads_the_proteins_from_the_repository(
    hub: Hub, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_store(store_of(), NAME)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that it brings
        import mlcroissant  # noqa: PLC0415
        from mlcroissant._src.core import constants  # noqa: PLC0415

        monkeypatch.setattr(constants, "DOWNLOAD_PATH", type(constants.DOWNLOAD_PATH)(tmp_path))
        dataset = mlcroissant.Dataset(jsonld=f"{hub.url}/datasets/{NAME}/resolve/main/croissant.json")
        found = [record["sequences/id"] for record in dataset.records("sequences")]
    assert [one.decode() for one in found] == actstore.open_store(store_of()).sequences["id"].to_pylist()


def test_the_command_says_how_a_colleague_opens_it_and_shows_no_token(hub: Hub, store_of: StoreOf) -> None:
    planned = run_actstore("publish", store_of(), NAME, "--dry-run")
    done = run_actstore("publish", store_of(), NAME, "--private")
    told = run_actstore("publish", store_of(), NAME, "--json")
    assert [planned.code, done.code, told.code] == [0, 0, 0], done.err
    assert "would send" in planned.out
    assert f"actstore inspect hf://datasets/{NAME}" in done.out
    assert f'actstore.open_store("hf://datasets/{NAME}")' in done.out
    assert told.document["files_sent"] == 0
    shown = json.dumps([planned, done, told])
    assert TOKEN not in shown
    assert TOKEN not in str(hub.content(NAME, "README.md") + hub.content(NAME, "croissant.json"))


def test_a_wrong_token_is_an_error_that_does_not_show_it(
    hub: Hub, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrongWrongWrong1")
    done = run_actstore("publish", store_of(), NAME)
    assert done.code == 1
    assert "log in with 'hf auth login'" in done.err
    assert "hf_wrongWrongWrong1" not in done.out + done.err
