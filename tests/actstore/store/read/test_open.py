"""From a place, or an exported manifest, to a store."""

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.recipe import Recipe
from actstore.errors import (
    IncompleteStoreError,
    ManifestError,
    MissingObjectError,
    StoreError,
    StoreNotFoundError,
    UsageError,
)
from actstore.store.read.open import (
    locate_store,
    open_manifest,
    open_store_objects,
    read_manifest,
    stored_manifest,
)
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.deadline import Stop
from tests.services.web import WebServer

StoreOf = Callable[..., Path]


def exported(folder: Path, to: Path) -> Path:
    """Write the manifest of a store to a file of its own."""
    to.write_bytes(stored_manifest(LocalObjects(folder)).to_json(uri=str(folder)))
    return to


def test_a_store_opens_by_its_place(store_of: StoreOf) -> None:
    manifest = open_manifest(store_of())
    assert manifest.uri == str(store_of())
    assert manifest == open_manifest(str(store_of()))
    assert locate_store(store_of())[1].uri == str(store_of())


def test_a_store_opens_by_an_exported_manifest(store_of: StoreOf, tmp_path: Path) -> None:
    shared = exported(store_of(), tmp_path / "shared.json")
    assert open_manifest(shared) == open_manifest(store_of())


def test_a_store_opens_by_a_url(store_of: StoreOf) -> None:
    uri = f"memory://{uuid4().hex}/store"
    objects, local = open_objects(uri), LocalObjects(store_of())
    for path in local.sizes():
        objects.put(path, local.get(path))
    assert open_manifest(uri).digest == open_manifest(store_of()).digest


def test_a_store_on_a_web_server_opens_by_its_folder_and_by_its_manifest(store_of: StoreOf) -> None:
    expected = open_manifest(store_of()).digest
    with WebServer(store_of().parent) as web:
        for source in (f"{web.url}/store", f"{web.url}/store/", f"{web.url}/store/manifest.json"):
            found = open_manifest(source)
            assert (found.digest, found.uri) == (expected, f"{web.url}/store")


def test_a_manifest_at_a_url_names_places_from_its_own_folder(own_store: StoreOf, store_of: StoreOf) -> None:
    store = own_store()
    manifest = stored_manifest(LocalObjects(store))
    (store.parent / "shared.json").write_bytes(manifest.to_json(uri="./moved", places=["./own"]))
    (store.parent / "other.json").write_bytes(
        stored_manifest(LocalObjects(store_of(**{"store.encoding": "float16"}))).to_json(uri="./own")
    )
    with WebServer(store.parent) as web:
        found, objects = locate_store(f"{web.url}/shared.json")
        assert objects.uri == f"{web.url}/own"
        assert found.digest == manifest.digest
        assert read_manifest(f"{web.url}/shared.json").places == (f"{web.url}/own",)
        assert locate_store(f"{web.url}/shared.json", uri=str(store))[1].uri == str(store)
        assert open_store_objects(f"{web.url}/shared.json").uri == f"{web.url}/own"
        with pytest.raises(ManifestError, match="has other content than this manifest describes"):
            locate_store(f"{web.url}/other.json")
        with pytest.raises(ManifestError, match=r"nothing\.json: no such file"):
            locate_store(f"{web.url}/nothing.json")
        (store / "manifest.json").unlink()
        with pytest.raises(StoreError, match="only finished stores can be read there"):
            open_manifest(f"{web.url}/own")


def test_a_recipe_is_told_from_a_manifest(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("seed = 1\n")
    with pytest.raises(UsageError, match=r"recipe\.toml is a recipe, which has no rows: .*'trainer online RECIPE'"):
        open_manifest(recipe)
    recipe.unlink()
    recipe.mkdir()
    with pytest.raises(StoreNotFoundError):
        open_manifest(recipe)


def test_a_store_that_is_being_set_up_is_said_to_be_so(
    recipe_of: Callable[..., Recipe], fake_model: FakeModel, tmp_path: Path
) -> None:
    """Its objects come one after the other, the recipe first."""
    store = tmp_path / "store"
    extract_with(fake_model, LocalObjects(store), recipe_of(), stop=Stop(after_s=0))
    assert open_manifest(store).tasks_done == 0
    in_order = sorted((path for path in store.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    assert in_order[0].name == "recipe.json"
    for last in reversed(in_order[1:]):
        last.unlink()
        with pytest.raises(IncompleteStoreError, match="the store is being set up, or its set-up was int"):
            open_manifest(store)


def test_a_store_with_tasks_that_lacks_an_object_is_not_being_set_up(store_of: StoreOf, tmp_path: Path) -> None:
    store = shutil.copytree(store_of(), tmp_path / "store")
    (store / "manifest.json").unlink()
    (store / "zarr.json").unlink()
    with pytest.raises(MissingObjectError, match=r"object zarr\.json is missing"):
        open_manifest(store)


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_no_store_is_said_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreNotFoundError, match=f"{name}: no activation store here"):
        open_manifest(tmp_path / name)


def test_a_store_in_the_making_opens_with_what_is_there(own_store: StoreOf) -> None:
    """Whether a manifest was written half-way or not, commits decide."""
    folder = own_store()
    whole = open_manifest(folder)
    commit = (folder / "commits/4.json").read_bytes()
    (folder / "commits/4.json").unlink()
    (folder / "manifest.json").unlink()
    assert open_manifest(folder).tasks_done == whole.frozen.tasks - 1
    partial = stored_manifest(LocalObjects(folder))
    (folder / "manifest.json").write_bytes(partial.to_json(uri=None))
    (folder / "commits/4.json").write_bytes(commit)
    assert open_manifest(folder) == whole


def test_a_manifest_without_a_place_is_refused(store_of: StoreOf) -> None:
    with pytest.raises(ManifestError, match="does not say where its store is"):
        open_manifest(store_of() / "manifest.json")


def test_a_file_that_is_no_manifest_is_refused(synthetic_fasta: Path) -> None:
    with pytest.raises(ManifestError, match=r"proteins\.fasta: not a manifest"):
        open_manifest(synthetic_fasta)


def test_a_manifest_whose_store_is_gone_says_so(own_store: StoreOf, tmp_path: Path) -> None:
    folder = own_store()
    shared = exported(folder, tmp_path / "shared.json")
    shutil.rmtree(folder)
    with pytest.raises(StoreNotFoundError, match=r"shared\.json describes a store at .*own, but there is none"):
        open_manifest(shared)


def test_a_manifest_of_another_recipe_is_refused(
    own_store: StoreOf, tmp_path: Path, recipe_of: Callable[..., Recipe], fake_model: FakeModel
) -> None:
    folder = own_store()
    shared = exported(folder, tmp_path / "shared.json")
    shutil.rmtree(folder)
    extract_with(fake_model, LocalObjects(folder), recipe_of(seed=1))
    with pytest.raises(ManifestError, match=r"has other content .*differs in the recipe"):
        open_manifest(shared)


def test_a_manifest_of_other_weights_is_refused(
    own_store: StoreOf, tmp_path: Path, recipe_of: Callable[..., Recipe]
) -> None:
    folder = own_store()
    shared = exported(folder, tmp_path / "shared.json")
    shutil.rmtree(folder)
    extract_with(FakeModel(seed=1), LocalObjects(folder), recipe_of())
    with pytest.raises(ManifestError, match="has other content"):
        open_manifest(shared)


def test_a_manifest_promises_that_its_tasks_are_there(own_store: StoreOf, tmp_path: Path) -> None:
    folder = own_store()
    shared = exported(folder, tmp_path / "shared.json")
    (folder / "commits/2.json").unlink()
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match="differs in the commit of task 2"):
        open_manifest(shared)


def test_a_manifest_exported_early_opens_the_store_that_has_grown_since(own_store: StoreOf, tmp_path: Path) -> None:
    folder = own_store()
    kept = {name: (folder / name).read_bytes() for name in ("commits/2.json", "manifest.json")}
    for name in kept:
        (folder / name).unlink()
    shared = exported(folder, tmp_path / "shared.json")
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    assert open_manifest(shared).tasks_done == open_manifest(folder).tasks_done - 1
