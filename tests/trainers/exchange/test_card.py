"""The model card says what is known, and nothing that it holds is markup."""

import json

import pytest

from tests.trainers.exchange.made import facts_of
from trainers.exchange.card import CARD_WRITTEN, model_card
from trainers.exchange.facts import ModelFacts, SiteFacts


def front_matter(card: str) -> dict[str, object]:
    lines = card.split("---\n")[1].splitlines()
    return {name: json.loads(value) for name, _, value in (line.partition(": ") for line in lines)}


def test_it_says_what_a_reader_asks_for() -> None:
    facts = facts_of(
        licence="MIT",
        citation="A. Author\n  2026",
        tensors_sha256="3" * 64,
        training={"rows": 123456, "steps": 60},
        metrics={"explained_variance": 0.98765, "explained_variance_per_site": {"resid_post.0": 0.5}, "dead": 0},
    )
    card = model_card(facts, name="my-lab/sae", uri="hf://my-lab/sae")
    assert CARD_WRITTEN in card
    assert "# sae\n" in card
    for text in ("0" * 64, "1" * 64, "3" * 64, "memory", "topk, k = 4", "123,456 rows, 60 steps", "0.9877", "layer.0"):
        assert text in card, text
    assert "| explained variance per site, resid\\_post.0 | 0.5 |" in card
    assert 'dictionary = trainers.load("hf://my-lab/sae")\n' in card
    assert "    A. Author\n      2026\n" in card
    assert front_matter(card)["license"] == "mit"


def test_what_is_unknown_is_said() -> None:
    card = model_card(facts_of(model=None, manifests=()))
    assert "an unknown model" in card
    assert "| trained on | unknown rows |" in card
    assert "| licence | not stated |" in card
    assert "license" not in front_matter(card)
    assert "## Results" not in card


@pytest.mark.parametrize(
    ("name", "base"), [("facebook/esm2", "facebook/esm2"), ("/home/me/esm2", None), ("gpt2", None)]
)
def test_the_base_model_is_a_name_of_the_hub(name: str, base: str | None) -> None:
    card = model_card(facts_of(model=ModelFacts(name=name)))
    assert front_matter(card).get("base_model") == base
    assert "/home/me" not in card


def test_records_of_any_kind_are_shown() -> None:
    card = model_card(facts_of(training={"rows": "many"}, metrics={"a": None, "b": [1], "c": True}))
    assert "| training | many rows, None steps |" in card
    assert "| c | True |" in card


def test_shares_of_latents_say_what_they_count() -> None:
    metrics = {"silent_fraction": 0.25, "dead_fraction": 0.0, "dead_after_rows": 20480, "evaluated_rows": 10000}
    card = model_card(facts_of(metrics=metrics))
    assert "Silent fraction: the share of latents that are active on none of the 10,000 evaluated rows;" in card
    assert "Dead fraction: the share of latents that were active on none of the last 20,480 rows of training." in card
    unknown = model_card(facts_of(metrics={"silent_fraction": 0.25, "dead_fraction": None, "dead_after_rows": 20480}))
    assert "active on none of the evaluated rows;" in unknown
    assert "Dead fraction" not in unknown


def test_names_are_no_markup() -> None:
    sites = (SiteFacts(name="<script>|a", module="[x](y)\n# b", width=6),)
    card = model_card(facts_of().model_copy(update={"sites": sites, "licence": "a: b\n---\n"}))
    assert "<script>" not in card
    assert "[x](y)" not in card
    assert "\n# b" not in card
    assert front_matter(card)["license_name"] == "a: b\n---\n"
