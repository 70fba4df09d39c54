"""From a store, a manifest or a recipe to rows that the model computes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from actstore.contracts.recipe import Recipe
from actstore.errors import (
    ModelError,
    RecipeChangedError,
    RecipeError,
    SiteError,
    StoreNotFoundError,
    StreamError,
    UsageError,
)
from actstore.stream.open import open_stream
from actstore.stream.request import StreamRequest
from actstore.workflows.export_manifest import export_manifest
from actstore.workflows.extract import extract_store
from actstore.workflows.live.open import open_live
from actstore.workflows.recipes import read_recipe
from tests.actstore.workflows.live.test_source import batches, without
from tests.actstore.workflows.stores import contents

StoreOf = Callable[..., Path]


@pytest.fixture
def recipe_file(few_fasta: Path, esm2_tiny: Path, tmp_path: Path) -> Path:
    """The recipe of `tiny_store`."""
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
sites = ["embed", "resid_post.*", "final_norm"]
[model]
name = "{esm2_tiny}"
tokens_per_batch = 2048
[corpus]
sequences = ["{few_fasta}"]
[splits]
fractions = {{ train = 0.6, valid = 0.2, test = 0.2 }}
[store]
task_rows = 256
chunk_rows = 64
calibration_sequences = 4
"""
    )
    return path


def test_a_store_a_manifest_and_a_recipe_give_the_same_rows(
    tiny_store: StoreOf, recipe_file: Path, tmp_path: Path
) -> None:
    store = tiny_store()
    exported = tmp_path / "shared.json"
    export_manifest(str(store), exported)
    before = contents(tmp_path)
    with open_stream(store, batch_rows=200) as stream:
        stored = batches(stream)
    planned = set()
    for given in (store, exported, recipe_file):
        with open_live(given) as source, source.open_stream(StreamRequest(batch_rows=200)) as stream:
            assert batches(stream) == stored
            planned.add(source.planned.digest)
    assert len(planned) == 1
    assert contents(tmp_path) == before


def test_a_complete_store_is_read_as_ever(tiny_store: StoreOf) -> None:
    with (
        open_live(tiny_store(), mode="compute") as source,
        source.open_stream(StreamRequest(order="uniform")) as stream,
    ):
        list(stream)
        assert stream.report().path == "mapped"
        assert source.statistics() == stream.manifest.statistics
        assert source.finish("train")
        assert source.report()[:3] == ("compute", 0, 0)


def test_a_store_that_only_lacks_its_manifest_gets_it(tiny_store: StoreOf, tmp_path: Path) -> None:
    """Whoever wrote the last commit may have been killed right after it."""
    partial = without(tiny_store(), tmp_path / "partial", set())
    before = contents(partial)
    with open_live(partial, mode="compute") as source:
        assert source.finish("train")
    assert contents(partial) == before
    with open_live(partial, mode="store") as source:
        assert source.finish("train")
    assert contents(partial) == contents(tiny_store())


def test_options_take_precedence_over_a_recipe_and_are_none_of_a_stores(
    tiny_store: StoreOf, recipe_file: Path, few_fasta: Path
) -> None:
    planned = recipe_file.read_text().replace(
        f'sequences = ["{few_fasta}"]', "expected_sequences = 10\nexpected_lengths = 100"
    )
    recipe_file.write_text(planned)
    with pytest.raises(RecipeError, match="name the files: --sequences FILE"):
        open_live(recipe_file)
    options = {"corpus.sequences": [str(few_fasta)], "store.encoding": "float16", "sites": None}
    with (
        open_live(recipe_file, recipe_options=options) as source,
        open_live(tiny_store(**{"store.encoding": "float16"})) as stored,
    ):
        assert source.planned.digest == stored.planned.digest
        assert source.manifest.frozen.recipe.corpus == read_recipe(recipe_file, options=options).corpus
    with pytest.raises(UsageError, match=r"is not a recipe, so corpus\.sequences, store\.encoding cannot be set"):
        open_live(tiny_store(), recipe_options=options)


def test_what_does_not_fit_is_refused_by_the_name_of_the_recipe(recipe_file: Path) -> None:
    with (
        open_live(recipe_file, cache_bytes=1) as source,
        pytest.raises(StreamError, match=f"^{recipe_file}: an epoch of train would run the model"),
    ):
        source.open_stream(StreamRequest(batch_rows=64, buffer_bytes=1 << 18))


@pytest.mark.parametrize(
    ("request_", "error", "said"),
    [
        (StreamRequest(sites=["resid_post.9"], batch_rows=8, seed=0), SiteError, "resid_post.9"),
        (StreamRequest(sites=["embed"], batch_rows=8, seed=0, order="uniform"), StreamError, "order='uniform'"),
    ],
    ids=["site", "order"],
)
def test_what_cannot_be_streamed_is_refused_by_the_name_of_the_recipe(
    request_: StreamRequest, error: type[Exception], said: str, recipe_file: Path
) -> None:
    with open_live(str(recipe_file), mode="online") as source, pytest.raises(error, match=said) as caught:
        source.open_stream(request_)
    assert str(caught.value).startswith(f"{recipe_file}: ")


def test_a_recipe_has_nothing_that_could_be_missing(recipe_file: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe\.toml is a recipe, which has no rows"):
        open_live(recipe_file, mode="compute")


def test_nothing_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError):
        open_live(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match=r"nowhere\.toml: cannot be read: No such file"):
        open_live(tmp_path / "nowhere.toml")


def test_a_model_that_is_gone_or_another_is_refused(tiny_store: StoreOf, esm2_tiny: Path, tmp_path: Path) -> None:
    model, store = tmp_path / "model", tmp_path / "store"
    shutil.copytree(esm2_tiny, model)
    recipe = Recipe.model_validate(
        {
            "model": {"name": str(model)},
            "corpus": {"sequences": [str(write_one(tmp_path))]},
            "sites": ["embed"],
            "splits": {"fractions": {"train": 1.0}},
            "store": {"encoding": "float16", "task_rows": 64, "chunk_rows": 64},
        }
    )
    extract_store(recipe, str(store))
    weights = load_file(model / "model.safetensors")
    save_file({name: array + 1 for name, array in weights.items()}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(RecipeChangedError, match=r"store: the model .* has other weights"):
        open_live(store)
    shutil.rmtree(model)
    with pytest.raises(ModelError, match=r"rows cannot be computed here: .*, which is not there; give the folder"):
        open_live(store)


def write_one(folder: Path) -> Path:
    path = folder / "one.fasta"
    path.write_text(">a\n" + "MKVLAAGIVGLPNSTWHEDRQF" * 8 + "\n")
    return path
