"""A model that was a folder stays one: frozen with its absolute path, found from anywhere, asked for on no hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from actstore import LocalWorkers, extract_store, inspect_store, open_live, repair_store, verify_store
from actstore.errors import ModelError, UsageError
from actstore.store.format.canonical import canonical_json
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.workflows.extraction.stored_model import stored_model
from tests.actstore.cli.command import Outcome, actstore
from tests.actstore.workflows.stores import contents, write_fasta

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Store = Callable[..., Path]


@pytest.fixture(autouse=True)
def somebody_elses_hub(esm2_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the hub where the names of our folders belong to somebody else, and no network."""
    for name in ("models--model", "models--a--model"):
        shutil.copytree(esm2_tiny, tmp_path / "hub" / name / "snapshots" / COMMIT)
        (tmp_path / "hub" / name / "refs").mkdir()
        (tmp_path / "hub" / name / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def here(esm2_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `a`, which has a model and proteins, and is where we are."""
    folder = tmp_path / "a"
    shutil.copytree(esm2_tiny, folder / "model")
    write_fasta(folder / "few.fasta", {f"P{index}": "MKTAYIAKQR" * (index + 1) for index in range(24)})
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def store(here: Path, tmp_path: Path) -> Path:
    """A store that was begun there with the model's relative path."""
    begun = begin(tmp_path / "store", "--stop-after=0")
    assert begun.code == 0, begun.err
    return tmp_path / "store"


def begin(store: Path, *options: str, model: str = "model") -> Outcome:
    return actstore(
        "extract", f"--model={model}", "--sequences=few.fasta", "--site=embed,resid_post.1", "--fraction=0.5",
        "--set=store.task_rows=256", "--set=store.chunk_rows=64", f"--store={store}", *options,
    )  # fmt: skip


def made_before_paths_were_absolute(store: Path, name: str = "model") -> Path:
    """Turn a begun store into one whose recipe names the folder as it was typed."""
    document = json.loads((store / "recipe.json").read_bytes())
    document["model"]["name"] = document["recipe"]["model"]["name"] = name
    (store / "recipe.json").write_bytes(canonical_json(document))
    (store / "zarr.json").unlink()  # has the digest of the recipe, and is written again
    return store


def lose_a_task(store: Path) -> None:
    (store / "commits" / "0.json").unlink()


class TestARelativePath:
    @pytest.mark.parametrize("name", ["model", "./model", "../a/model"])
    def test_is_frozen_absolute_in_recipe_and_manifest(self, name: str, here: Path, tmp_path: Path) -> None:
        done = begin(tmp_path / "store", model=name)
        assert done.code == 0, done.err
        frozen = json.loads((tmp_path / "store" / "recipe.json").read_bytes())
        assert frozen["model"]["name"] == frozen["recipe"]["model"]["name"] == str(here / "model")
        assert inspect_store(tmp_path / "store").model["name"] == str(here / "model")

    def test_gives_the_store_of_the_absolute_one(self, here: Path, tmp_path: Path) -> None:
        assert begin(tmp_path / "one").code == begin(tmp_path / "other", model=str(here / "model")).code == 0
        assert contents(tmp_path / "one") == contents(tmp_path / "other")

    def test_is_continued_verified_and_repaired_from_anywhere(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir("/")
        done = actstore("extract", "--store", store, "--json")
        assert done.code == 0, done.err
        assert done.document["complete"]
        assert verify_store(str(store)).recomputed_rows > 0
        (store / "commits" / "0.json").unlink()
        assert repair_store(str(store)).ok

    @pytest.mark.slow
    def test_is_found_by_workers_that_run_elsewhere(self, here: Path, store: Path) -> None:
        report = extract_store(None, str(store), cluster=LocalWorkers(1))
        assert report.complete


class TestAnOlderStore:
    """Its recipe names the folder as it was typed; only that the model has no revision tells that it was a folder."""

    def test_is_continued_where_it_was_begun(self, store: Path) -> None:
        done = actstore("extract", "--store", made_before_paths_were_absolute(store))
        assert done.code == 0, done.err

    def test_is_continued_by_the_same_command(self, store: Path) -> None:
        made_before_paths_were_absolute(store)
        done = begin(store)
        assert done.code == 0, done.err

    @pytest.mark.parametrize("name", ["model", "a/model"])
    def test_asks_no_hub_for_the_name_from_another_folder(
        self, name: str, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_before_paths_were_absolute(store, name)
        monkeypatch.chdir("/")
        done = actstore("extract", "--store", store)
        assert done.code == 1
        assert f"extracted with the model in the folder {name}, which is not there" in done.err
        assert "--model FOLDER" in done.err

    def test_is_continued_from_another_folder_if_told_where_the_model_is(
        self, here: Path, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_before_paths_were_absolute(store)
        before = (store / "recipe.json").read_bytes()
        monkeypatch.chdir("/")
        done = actstore("extract", "--store", store, "--model", here / "model")
        assert done.code == 0, done.err
        assert (store / "recipe.json").read_bytes() == before


class TestAFolderThatIsGone:
    @pytest.fixture
    def moved(self, here: Path, store: Path) -> Path:
        """Where the model of a complete store is now."""
        assert actstore("extract", "--store", store).code == 0
        return (here / "model").rename(here.parent / "new place")

    @pytest.mark.parametrize("command", ["extract --store", "repair"])
    def test_is_named_with_the_way_out(self, command: str, moved: Path, store: Path, here: Path) -> None:
        lose_a_task(store)
        done = actstore(*command.split(), store)
        assert (done.code, done.out) == (1, "")
        assert f"the model in the folder {here / 'model'}, which is not there" in done.err
        assert "--model FOLDER" in done.err

    def test_is_named_by_verify_and_by_rows_that_are_computed(self, moved: Path, store: Path, here: Path) -> None:
        assert "--model FOLDER" in (verify_store(str(store)).not_recomputed or "")
        with pytest.raises(ModelError, match=f"computed here: .* folder {here / 'model'}, which is not there"):
            open_live(store)

    @pytest.mark.parametrize("command", ["extract --store", "repair", "verify"])
    def test_another_place_may_be_given(self, command: str, moved: Path, store: Path) -> None:
        if command != "verify":
            lose_a_task(store)
        done = actstore(*command.split(), store, "--model", moved, "--json")
        assert done.code == 0, done.err
        if command == "verify":
            assert done.document["recomputed_rows"] > 0
        with open_live(store, model=str(moved)) as live:
            assert live.manifest.rows > 0

    def test_other_weights_at_that_place_are_refused(self, moved: Path, store: Path, spoilt_model: Path) -> None:
        assert "weights" in actstore("verify", store, "--model", spoilt_model).err
        lose_a_task(store)
        for command in ("extract --store", "repair"):
            done = actstore(*command.split(), store, "--model", spoilt_model)
            assert done.code == 1, command
            assert "weights" in done.err, command

    def test_a_place_that_is_not_there_is_an_error_of_verify_too(self, moved: Path, store: Path) -> None:
        done = actstore("verify", store, "--model", "/nowhere/model")
        assert done.code == 1
        assert "/nowhere/model" in done.err


@pytest.fixture
def spoilt_model(esm2_tiny: Path, tmp_path: Path) -> Path:
    """The shipped model with one other number."""
    from safetensors.numpy import load_file, save_file  # noqa: PLC0415 - only here

    folder = shutil.copytree(esm2_tiny, tmp_path / "spoilt")
    tensors = load_file(folder / "model.safetensors")
    tensors["esm.encoder.layer.5.output.dense.bias"][0] += 1.0
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_model_of_the_hub_is_loaded_at_the_commit_that_was_extracted(here: Path, tmp_path: Path) -> None:
    assert begin(tmp_path / "store", "--stop-after=0", model="a/model").code == 0
    frozen = FrozenRecipe.model_validate_json((tmp_path / "store" / "recipe.json").read_bytes())
    asked = stored_model(frozen)
    assert (asked.name, asked.revision) == ("a/model", COMMIT)
    elsewhere = stored_model(frozen, "lab/copy")
    assert (elsewhere.name, elsewhere.revision) == ("lab/copy", None)


def test_a_place_beside_a_recipe_is_refused(tiny_recipe: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="beside a recipe"):
        extract_store(tiny_recipe(), str(tmp_path / "store"), model="model")  # type: ignore[arg-type]
