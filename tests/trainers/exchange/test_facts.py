"""Facts that contradict each other are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.trainers.exchange.made import facts_of
from trainers.exchange.facts import Activation, DictionaryFacts, SiteFacts


@pytest.mark.parametrize(
    "changes",
    [
        {"sites": (SiteFacts(name="a", module=None, width=6), SiteFacts(name="b", module=None, width=7))},
        {"input_scale": (1.0, 1.0)},
        {"input_scale": (0.0,)},
        {"activation": Activation(name="topk", k=21)},
        {"sites": ()},
        {"manifests": ("no digest",)},
    ],
)
def test_contradictions(changes: dict[str, Any]) -> None:
    document = facts_of().model_dump() | changes
    with pytest.raises(ValidationError):
        DictionaryFacts.model_validate(document)


@pytest.mark.parametrize(("name", "k"), [("topk", None), ("relu", 4), ("jumprelu", 4)])
def test_k_belongs_to_topk(name: Any, k: int | None) -> None:
    with pytest.raises(ValidationError):
        Activation(name=name, k=k)


def test_facts_survive_json() -> None:
    facts = facts_of(sites=3)
    assert DictionaryFacts.model_validate_json(facts.model_dump_json(), strict=True) == facts
