"""Dictionaries with random weights, and rows for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from trainers.exchange.facts import Activation, DictionaryFacts, ModelFacts, SiteFacts
from trainers.exchange.trained import TrainedDictionary

WIDTH, LATENTS = 6, 20


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def rows_of(sites: int, rows: int = 11, seed: int = 7) -> Tensor:
    return 3 * draw(rows, sites, WIDTH, seed=seed) + 1


def facts_of(*, sites: int = 1, activation: Activation | None = None, **changes: Any) -> DictionaryFacts:
    fields: dict[str, Any] = {
        "dictionary": "topk-sae" if sites == 1 else "crosscoder-topk",
        "sites": tuple(SiteFacts(name=f"resid_post.{s}", module=f"layer.{s}", width=WIDTH) for s in range(sites)),
        "latents": LATENTS,
        "activation": activation or Activation(name="topk", k=4),
        "subtracts_b_dec": sites == 1,
        "input_scale": tuple(0.5 + s for s in range(sites)),
        "model": ModelFacts(name="memory", weights_sha256="1" * 64),
        "manifests": ("0" * 64,),
        "origin": "a test",
    }
    return DictionaryFacts(**fields | changes)


def made(*, sites: int = 1, activation: Activation | None = None, **changes: Any) -> TrainedDictionary:
    """Return a dictionary; a crosscoder ranks, `jumprelu` has thresholds."""
    facts = facts_of(sites=sites, activation=activation, **changes)
    weights = {
        "W_enc": draw(sites, WIDTH, LATENTS, seed=1),
        "b_enc": draw(LATENTS, seed=2),
        "W_dec": draw(LATENTS, sites, WIDTH, seed=3),
        "b_dec": draw(sites, WIDTH, seed=4),
    }
    if sites > 1:
        weights["rank"] = draw(LATENTS, seed=5).abs() + 0.1
    if facts.activation.name == "jumprelu":
        weights["threshold"] = draw(LATENTS, seed=6).abs()
    return TrainedDictionary(facts, weights)
