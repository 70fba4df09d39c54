"""The page of real stores, parsed strictly; how it looks is seen in a browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.view.pages.store_facts import Rights, StoreFacts
from actstore.view.pages.store_origin import store_bibtex
from actstore.view.pages.store_page import store_page
from tests.actstore.view.pages.stores import facts_of
from tests.actstore.view.pages.strict import parsed

StoreOf = Callable[..., Path]
EVIL = '<script>alert(1)</script>"onload=x\u202e'


@pytest.fixture(scope="module")
def facts(store_of: StoreOf) -> StoreFacts:
    return facts_of(store_of())


def renamed(facts: StoreFacts, name: str) -> StoreFacts:
    """Return the facts of a store whose maker chose a name for the model and the splits."""
    frozen = facts.manifest.frozen
    model = type(frozen.model)(**{key: getattr(frozen.model, key) for key in frozen.model.__slots__} | {"name": name})
    frozen = frozen.model_copy(update={"model": model, "software": {name: name}})
    return facts._replace(manifest=facts.manifest.model_copy(update={"frozen": frozen}), uri=name)


def test_it_is_one_file_that_needs_nothing_else(facts: StoreFacts) -> None:
    page = store_page(facts)
    seen = parsed(page)
    assert not {tag for tag, _ in seen.seen} & {"img", "iframe", "object", "embed"}
    assert all(value == "data:," or value.startswith("#") for value in seen.values("href"))
    assert not seen.values("src")
    assert not re.search(r"https?://|url\(|@import", page)


def test_every_figure_has_a_name_and_its_numbers_in_a_table(facts: StoreFacts) -> None:
    found = re.findall(r"<figure>(.*?)</figure>", store_page(facts), re.DOTALL)
    assert len(found) == 8
    for figure in found:
        assert re.match(r"<figcaption>\w", figure)
        assert "<table" in figure
    ids = parsed(store_page(facts)).values("id")
    assert len(ids) == len(set(ids))


def test_a_store_without_rows_has_a_page(own_store: StoreOf) -> None:
    store = own_store()
    (store / "manifest.json").unlink()
    for commit in store.glob("commits/*"):
        commit.unlink()
    page = store_page(facts_of(store))
    parsed(page)
    assert page.count("No task is extracted yet") == 4
    assert "Tasks are missing, so this was not measured." in page


def test_names_are_text_and_never_markup(facts: StoreFacts) -> None:
    page = store_page(renamed(facts, EVIL))
    seen = parsed(page)
    assert sum(tag == "script" for tag, _ in seen.seen) == 1
    assert not seen.values("onload")
    assert "\u202e" not in page


def test_secrets_are_not_shown(facts: StoreFacts) -> None:
    page = store_page(renamed(facts, "https://user:hunter2hunter2@host?sig=abcdefabcdefabcdef"))
    assert "hunter2" not in page
    assert "abcdefabcdef" not in page


def test_what_the_makers_state_is_shown_and_what_they_do_not_is_said(facts: StoreFacts) -> None:
    page = store_page(facts)
    assert page.count("not stated") == 4
    stated = facts._replace(model=Rights("MIT", "@article{a,\n  title = {A & B}\n}"), corpus=Rights("CC BY 4.0"))
    page = store_page(stated)
    assert page.count("not stated") == 1
    assert "<dd>MIT</dd>" in page
    assert "<dd>CC BY 4.0</dd>" in page
    assert "@article{a,\n  title = {A &amp; B}\n}" in page


def test_the_entry_of_the_bibliography_has_the_digest_and_no_special_letters(facts: StoreFacts) -> None:
    entry = store_bibtex(renamed(facts, "folder/model_7%{x}"))
    assert f"@misc{{actstore-{facts.manifest.digest[:12]}," in store_bibtex(facts)
    assert r"Activations of model\_7\%\{x\} at 4 sites" in entry
    assert re.search(r"note = \{Manifest SHA-256 [0-9a-f]{64}\}", entry)


def test_the_same_store_gives_the_same_page(store_of: StoreOf, facts: StoreFacts) -> None:
    assert store_page(facts) == store_page(facts_of(store_of()))
