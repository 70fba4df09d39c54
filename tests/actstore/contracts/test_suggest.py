"""Misspelt words are answered with the nearest ones."""

import inspect

import pytest

import actstore
from actstore.contracts.recipe import Recipe
from actstore.contracts.suggest import did_you_mean, hint_for_key, with_keyword_hints

VERBS = ("choose_", "collect_", "export_", "extract_", "inspect_", "open_", "plan_", "read_", "repair_", "verify_")
"""Of functions that a notebook calls; the other ones serve a command line."""
FUNCTIONS = sorted(
    name for name in actstore.__all__ if inspect.isfunction(getattr(actstore, name)) and name.startswith(VERBS)
)


@pytest.mark.parametrize(
    ("word", "nearest"),
    [
        ("batch-rows", "batch_rows"),
        ("Batch_Rows", "batch_rows"),
        ("batchrows", "batch_rows"),
        ("buffer_byte", "buffer_bytes"),
    ],
)
def test_the_nearest_word_is_named(word: str, nearest: str) -> None:
    assert did_you_mean(word, ["sites", "batch_rows", "buffer_bytes"]) == f"; did you mean {nearest!r}?"


def test_words_far_from_all_get_no_suggestion() -> None:
    assert did_you_mean("learning", ["sites", "batch_rows"]) == ""


@pytest.mark.parametrize("word", ["rank", "world_size"])
def test_keywords_of_other_libraries_are_answered_with_ours(word: str) -> None:
    with pytest.raises(TypeError, match=rf"open_stream\(\) has no keyword '{word}'; did you mean 'seat'\?"):
        actstore.open_stream("store", **{word: 1})  # type: ignore[arg-type]


def test_keywords_far_from_all_are_answered_with_all() -> None:
    @with_keyword_hints
    def read(path: str, *, rows: int = 1) -> str:
        return path * rows

    assert read("a", rows=2) == "aa"
    with pytest.raises(TypeError, match=r"read\(\) has no keyword 'learning'; it has path, rows"):
        read("a", learning=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("place", "nearest"),
    [
        (("stroe",), "'store' or 'sites'"),
        (("store", "encodng"), "'encoding'"),
        (("model", "Revison"), "'revision'"),
        (("task_rows",), "'store.task_rows'"),
        (("store", "fraction"), "'rows.fraction'"),
        (("rows", "max-per-sequences"), "'max_per_sequence'"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_and_its_place(place: tuple[str, ...], nearest: str) -> None:
    assert hint_for_key(Recipe, place) == f"; did you mean {nearest}?"


def test_a_key_far_from_all_gets_no_suggestion() -> None:
    assert hint_for_key(Recipe, ("colour",)) == ""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_names_the_keyword_that_was_meant(name: str) -> None:
    function = getattr(actstore, name)
    keyword = list(inspect.signature(function).parameters)[-1]
    with pytest.raises(TypeError, match=f"{name}.. has no keyword '{keyword}_'; did you mean '{keyword}'"):
        function(**{f"{keyword}_": 1})


def test_public_names_are_suggested_too() -> None:
    with pytest.raises(AttributeError) as raised:
        actstore.open_steam  # noqa: B018 - it raises
    assert (raised.value.name, raised.value.obj) == ("open_steam", actstore)
