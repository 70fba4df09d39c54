from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from actstore.access.retrying import Retries
from actstore.errors import StorageUnavailableError, StoreError, UsageError
from actstore.workflows.publishing.hub import HubRepository, RemoteFile
from tests.services.hub import TOKEN, Hub

NAME = "my-lab/esm2.8m_a"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        yield stand_in


def repository(revision: str = "main") -> HubRepository:
    return HubRepository(NAME, revision=revision, retries=Retries(attempts=1))


def test_files_are_committed_and_listed(hub: Hub, tmp_path: Path) -> None:
    assert repository().head() is None
    head = repository().create(private=True)
    assert repository().create(private=True) == head
    (tmp_path / "large").write_bytes(bytes(100))
    commit = repository().commit({"a/large": tmp_path / "large", "small.json": b"{}"}, message="first", parent=head)
    files = repository().files(commit)
    assert "small.json" not in repository().files(head)
    assert repository().head() == commit
    assert files["a/large"].has(bytes(100))
    assert files["small.json"].has(b"{}")
    assert not files["a/large"].has(bytes(99))
    assert not files["small.json"].has(b"[]")
    assert hub.content(NAME, "a/large") == bytes(100)
    assert hub.repositories[NAME].private
    assert hub.repositories[NAME].messages == ["first"]


def test_a_commit_beside_that_of_somebody_else_is_refused(hub: Hub) -> None:
    head = repository().create(private=False)
    theirs = repository().commit({"a.json": b"{}"}, message="theirs", parent=head)
    with pytest.raises(StoreError, match=r"somebody else wrote to branch main meanwhile; .* Run the same again"):
        repository().commit({"b.json": b"{}"}, message="ours", parent=head)
    assert repository().head() == theirs
    assert hub.repositories[NAME].messages == ["theirs"]


def test_a_model_has_its_own_place_and_its_files_are_downloaded_once(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model = HubRepository(NAME, kind="model", retries=Retries(attempts=1))
    first = model.create(private=True)
    commit = model.commit({"large": bytes(100), "a/small.json": b"{}"}, message="first", parent=first)
    assert (model.url, model.uri) == (f"{hub.url}/{NAME}", f"hf://{NAME}")
    for _ in range(2):
        large, small = model.download("large", commit=commit), model.download("a/small.json", commit=commit)
        assert large is not None
        assert small is not None
        assert (large.read_bytes(), small.read_bytes()) == (bytes(100), b"{}")
    assert sum(method == "GET" and path.startswith("/large/") for method, path, _ in hub.asked) == 1
    assert model.download("nothing", commit=commit) is None


def test_a_branch_is_made_and_the_others_stay(hub: Hub) -> None:
    branch = repository(revision="int8/v2")
    assert branch.head() is None
    head = branch.create(private=False)
    assert branch.create(private=False) == repository().head() == head
    commit = branch.commit({"a.json": b"{}"}, message="on a branch", parent=head)
    assert "a.json" in branch.files(commit)
    assert (branch.head(), repository().head()) == (commit, head)
    assert branch.uri == f"hf://datasets/{NAME}@int8%2Fv2"
    assert repository().uri == f"hf://datasets/{NAME}"


@pytest.mark.parametrize("name", ["name", "user/name/more", "user/", "../etc", "user/na me", "a/b.git", "a/b--c"])
def test_what_is_no_name_of_a_repository_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name of a repository on the Hub: give USER/NAME"):
        HubRepository(name)


@pytest.mark.parametrize("revision", ["", "a b", "../main", "a..b", "x?y"])
def test_what_is_no_name_of_a_branch_is_refused(revision: str) -> None:
    with pytest.raises(UsageError, match="no name of a branch"):
        HubRepository(NAME, revision=revision)


def test_a_token_that_may_not_write_is_not_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_readOnlyToken1234")
    with pytest.raises(StoreError, match=r"the Hub refuses \(401\): log in with 'hf auth login'") as caught:
        repository().create(private=True)
    assert "hf_readOnlyToken1234" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_unavailable(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailableError) as caught:
        repository().head()
    assert TOKEN not in str(caught.value)


def test_a_file_that_git_keeps_is_known_by_its_name_there() -> None:
    empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"  # of `git hash-object /dev/null`
    assert RemoteFile(0, None, empty).has(b"")
