"""A recipe says everything that decides what a store contains, and refuses what it does not understand."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from actstore.contracts.recipe import (
    CorpusRecipe,
    ModelRecipe,
    Recipe,
    RowsRecipe,
    SplitsRecipe,
    StoreRecipe,
)

MINIMAL: dict[str, Any] = {"model": {"name": "esm2"}, "corpus": {"sequences": ["proteins.fasta"]}}


def problem(section: type, **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        section(**fields)
    (error,) = caught.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def test_a_model_and_sequences_are_enough() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    assert recipe.sites == ("resid_post.*",)
    assert recipe.rows.fraction == 1.0
    assert recipe.store.encoding == "int8"
    assert recipe.splits.fractions == {"train": 0.9, "valid": 0.05, "test": 0.05}
    assert not recipe.model.pickle_weights
    assert not recipe.model.remote_code


def test_a_recipe_survives_json() -> None:
    recipe = Recipe.model_validate(MINIMAL | {"splits": {"fractions": {"b": 0.5, "a": 0.25, "train": 0.25}}})
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.model_dump_json() == recipe.model_dump_json()


def test_a_recipe_cannot_be_changed() -> None:
    recipe = Recipe.model_validate(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 1


def test_one_word_stands_for_a_list_of_one() -> None:
    document = {"model": {"name": "m"}, "corpus": {"sequences": "a.fasta"}, "sites": "embed"}
    recipe = Recipe.model_validate(document)
    assert recipe.corpus.sequences == ("a.fasta",)
    assert recipe.sites == ("embed",)


@pytest.mark.parametrize("section", [None, "model", "corpus", "rows", "splits", "store"])
def test_unknown_keys_are_refused_in_every_section(section: str | None) -> None:
    document = {name: dict(fields) for name, fields in MINIMAL.items()}
    (document if section is None else document.setdefault(section, {}))["encodng"] = {"int8": 1}
    with pytest.raises(ValidationError, match="encodng"):
        Recipe.model_validate(document)


@pytest.mark.parametrize("missing", ["model", "corpus"])
def test_model_and_corpus_have_no_default(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Recipe.model_validate({name: fields for name, fields in MINIMAL.items() if name != missing})


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        (ModelRecipe, {"name": "m", "dtype": "float64"}, "dtype: Input should be"),
        (ModelRecipe, {"name": "m", "tokens_per_batch": 63}, "tokens_per_batch: .*greater than or equal to 64"),
        (ModelRecipe, {"name": "m", "license": "MIT\nor so"}, "license: String should match"),
        (ModelRecipe, {"name": "m", "citation": " "}, "citation: String should have at least 1 character"),
        (CorpusRecipe, {"sequences": []}, "sequences: .*at least 1 item"),
        (CorpusRecipe, {"sequences": "a", "license": "x" * 201}, "license: String should have at most 200"),
        (CorpusRecipe, {"sequences": "a", "format": "genbank"}, "format: Input should be"),
        (CorpusRecipe, {"sequences": "a", "min_residues": 0}, "min_residues: .*greater than or equal to 1"),
        (CorpusRecipe, {"sequences": "a", "max_residues": 0}, "max_residues: .*greater than or equal to 1"),
        (CorpusRecipe, {"sequences": "a", "min_residues": 9, "max_residues": 8}, "max_residues must be at least"),
        (CorpusRecipe, {"sequences": "a", "on_bad_record": "ignore"}, "on_bad_record: Input should be"),
        (CorpusRecipe, {"sequences": "a", "long_sequences": "cut"}, "long_sequences: Input should be"),
        (CorpusRecipe, {"sequences": "a", "window_residues": 1}, "window_residues: .*greater than or equal to 2"),
        (CorpusRecipe, {"sequences": "a", "window_overlap": -1}, "window_overlap: .*greater than or equal to 0"),
        (CorpusRecipe, {"sequences": "a", "window_residues": 100, "window_overlap": 100}, "must be smaller than"),
        (CorpusRecipe, {}, "give sequences .files., or else expected_sequences and expected_lengths"),
        (
            CorpusRecipe,
            {"sequences": "a", "expected_sequences": 1, "expected_lengths": 9},
            "give sequences .files., or",
        ),
        (CorpusRecipe, {"expected_sequences": 1}, "belong together"),
        (CorpusRecipe, {"sequences": "a", "expected_lengths": 9}, "belong together"),
        (CorpusRecipe, {"expected_sequences": 0, "expected_lengths": 9}, "expected_sequences: .*greater than or equal"),
        (CorpusRecipe, {"expected_sequences": 1, "expected_lengths": []}, "expected_lengths: .*at least 1 item"),
        (CorpusRecipe, {"expected_sequences": 1, "expected_lengths": [0, 9]}, "expected_lengths.0: .*greater than"),
        (CorpusRecipe, {"expected_sequences": 1, "expected_lengths": [9, 8]}, "they must not fall"),
        (SplitsRecipe, {"fractions": {}}, "add up to 1"),
        (SplitsRecipe, {"fractions": {"train": 0.9}}, "add up to 1"),
        (SplitsRecipe, {"fractions": {"train": 1.5, "test": -0.5}}, "non-negative"),
        (SplitsRecipe, {"fractions": {"train": float("nan")}}, "add up to 1"),
        (SplitsRecipe, {"fractions": {"train": 0.5, "test": float("nan")}}, "add up to 1"),
        (SplitsRecipe, {"fractions": {"train": 0.5, "../test": 0.5}}, "must be identifiers"),
        (RowsRecipe, {"fraction": 0.0}, "fraction: .*greater than 0"),
        (RowsRecipe, {"fraction": 1.01}, "fraction: .*less than or equal to 1"),
        (RowsRecipe, {"fraction": float("nan")}, "fraction: "),
        (RowsRecipe, {"max_per_sequence": 0}, "max_per_sequence: .*greater than or equal to 1"),
        (StoreRecipe, {"encoding": "int3"}, "encoding: Input should be"),
        (StoreRecipe, {"on_overflow": "wrap"}, "on_overflow: Input should be"),
        (StoreRecipe, {"compressor": "gzip"}, "compressor: Input should be"),
        (StoreRecipe, {"task_rows": 0, "chunk_rows": 1}, "task_rows: .*greater than or equal to 1"),
        (StoreRecipe, {"chunk_rows": 0}, "chunk_rows: .*greater than or equal to 1"),
        (StoreRecipe, {"task_rows": 1000, "chunk_rows": 256}, r"task_rows \(1000\) must be a multiple of chunk_rows"),
        (StoreRecipe, {"task_rows": 128}, "must be a multiple of"),
        (StoreRecipe, {"calibration_sequences": 0}, "calibration_sequences: .*greater than or equal to 1"),
        (Recipe, MINIMAL | {"sites": []}, "sites: .*at least 1 item"),
        (Recipe, MINIMAL | {"seed": -1}, "seed: .*greater than or equal to 0"),
    ],
)
def test_a_contradiction_is_refused_with_its_field(section: type, fields: dict[str, Any], message: str) -> None:
    found = problem(section, **fields)
    assert re.search(message, found), found


def test_splits_come_in_one_order_however_they_were_written() -> None:
    one = SplitsRecipe(fractions={"valid": 0.25, "train": 0.5, "test": 0.25})
    other = SplitsRecipe(fractions={"test": 0.25, "valid": 0.25, "train": 0.5})
    assert list(one.fractions) == list(other.fractions) == ["train", "test", "valid"]
    assert one.model_dump_json() == other.model_dump_json()


def test_fractions_of_thirds_add_up_to_one() -> None:
    assert sum(SplitsRecipe(fractions={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}).fractions.values()) == pytest.approx(1)


def test_one_chunk_may_be_a_whole_task() -> None:
    assert StoreRecipe(task_rows=512, chunk_rows=512).chunk_rows == 512


def test_an_expected_corpus_comes_back_from_what_it_was_written_as() -> None:
    corpus = CorpusRecipe.model_validate({"expected_sequences": 10, "expected_lengths": 250})
    assert corpus.is_expected
    assert CorpusRecipe.model_validate_json(corpus.model_dump_json()) == corpus


def test_a_corpus_of_files_is_written_without_expectations() -> None:
    assert list(CorpusRecipe(sequences=("a",)).model_dump(mode="json")) == [
        "sequences", "format", "min_residues", "max_residues", "on_bad_record", "long_sequences", "window_residues",
        "window_overlap", "license", "citation",
    ]  # fmt: skip


@pytest.mark.parametrize("section", ["model", "corpus"])
def test_licence_and_citation_are_kept_as_written(section: str) -> None:
    told = {"license": "CC-BY-4.0", "citation": "@article{one,\n  title = {On {E. coli}}\n}"}
    nothing = Recipe.model_validate(MINIMAL).model_dump(mode="json")[section]
    assert (nothing["license"], nothing["citation"]) == (None, None)
    recipe = Recipe.model_validate(MINIMAL | {section: MINIMAL[section] | told})
    written = recipe.model_dump(mode="json")[section]
    assert {name: written[name] for name in told} == told
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
