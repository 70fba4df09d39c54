from collections.abc import Iterator

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from actstore.access.hf import HfObjects
from actstore.access.objects import ObjectStore
from actstore.access.open import open_objects
from actstore.errors import MissingObjectError, StoreError
from tests.services.hub import TOKEN, Hub

LARGE = bytes(range(256)) * 40
NAME = "user/name"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as stand_in:
        stand_in.use_here(monkeypatch)
        HfApi().create_repo(NAME, repo_type="dataset", private=True)
        commit({"deep/large": LARGE, "deep/a.json": b"{}", "top.json": b"[1]"})
        yield stand_in


def commit(files: dict[str, bytes]) -> str:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    done = HfApi().create_commit(NAME, operations, commit_message="more", repo_type="dataset")
    return str(done.oid)


@pytest.fixture
def objects(hub: Hub) -> ObjectStore:
    return open_objects(f"hf://datasets/{NAME}/deep", {"attempts": 1})


def test_objects_and_parts_of_them_are_read(objects: ObjectStore, hub: Hub) -> None:
    assert objects.get("large") == LARGE
    assert objects.get("a.json") == b"{}"
    assert objects.get_range("large", 100, 300) == LARGE[100:300]
    assert objects.get_range("large", len(LARGE) - 5, len(LARGE) + 5) == LARGE[-5:]
    assert objects.get_range("large", len(LARGE), len(LARGE) + 5) == b""
    assert objects.get_range("a.json", 0, 100) == b"{}"
    with objects.open("large") as file:
        file.seek(-10, 2)
        assert file.read() == LARGE[-10:]
    assert objects.sizes() == {"large": len(LARGE), "a.json": 2}
    assert objects.sizes("nothing/here") == {}
    assert objects.modified() == {}
    assert objects.uri == f"hf://datasets/{NAME}/deep"


def test_the_token_goes_to_the_hub_alone(objects: ObjectStore, hub: Hub) -> None:
    assert objects.get_range("large", 1, 9) == LARGE[1:9]
    carried = {
        path.startswith("/large/") for _, path, headers in hub.asked if TOKEN in headers.get("Authorization", "")
    }
    assert carried == {False}


def test_what_was_opened_stays_as_it_was(objects: ObjectStore, hub: Hub) -> None:
    assert objects.get("a.json") == b"{}"
    commit({"deep/a.json": b"[2]", "deep/b.json": b"3"})
    assert objects.get("a.json") == b"{}"
    assert "b.json" not in objects.sizes()
    assert open_objects(f"hf://datasets/{NAME}/deep", {"attempts": 1}).get("a.json") == b"[2]"


def test_a_commit_can_be_named(hub: Hub) -> None:
    before = hub.repositories[NAME].branches["main"]
    commit({"top.json": b"[9]"})
    assert open_objects(f"hf://datasets/{NAME}@{before}", {"attempts": 1}).get("top.json") == b"[1]"
    assert open_objects(f"hf://datasets/{NAME}", {"attempts": 1}).get("top.json") == b"[9]"


def test_what_is_not_there_is_missing(objects: ObjectStore) -> None:
    for read in (objects.get, lambda path: objects.get_range(path, 0, 9), lambda path: objects.open(path).__enter__()):
        with pytest.raises(MissingObjectError, match="object nothing/here is missing"):
            read("nothing/here")


@pytest.mark.parametrize("place", ["user/other", f"{NAME}@nobranch", f"{NAME}@{'1' * 40}"])
def test_a_repository_that_cannot_be_read_says_what_may_be_wrong(hub: Hub, place: str) -> None:
    with pytest.raises(
        StoreError, match=r"no such repository or revision on the Hub, or you may not read it.*HF_TOKEN"
    ):
        open_objects(f"hf://datasets/{place}", {"attempts": 1}).get("a")


def test_a_private_repository_is_read_with_the_token_of_its_options(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong123456")
    with pytest.raises(StoreError) as caught:
        open_objects(f"hf://datasets/{NAME}", {"attempts": 1}).get("top.json")
    assert "hf_wrong123456" not in str(caught.value)
    assert open_objects(f"hf://datasets/{NAME}", {"attempts": 1, "token": TOKEN}).get("top.json") == b"[1]"


@pytest.mark.parametrize("place", ["hf://user", "hf://datasets/", "hf://datasets/a//b"])
def test_what_names_no_repository_is_refused(place: str, hub: Hub) -> None:
    with pytest.raises(StoreError):
        open_objects(place, {"attempts": 1}).get("a")


def test_nothing_is_written(objects: ObjectStore) -> None:
    assert isinstance(objects, HfObjects)
    with pytest.raises(StoreError, match=r"stores are only read here.*'actstore publish'"):
        objects.put_new("b", b"")
