"""Presets are settings that train as they are."""

import tomllib
from importlib.resources import files

import pytest

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, plan_training
from trainers.workflows.presets import find_preset, list_presets
from trainers.workflows.settings import settle_config

STORES = {
    "prott5-crosscoder": ([f"resid_post.{block}" for block in range(24)], 1024),
    "esm2-3b-topk": (["resid_post.17", "final_norm"], 2560),
    "esm2-3b-matryoshka": (["resid_post.17", "final_norm"], 2560),
    "esm2-650m-interplm": (["resid_post.17"], 1280),
    "esm2-8m": (["resid_post.3"], 320),
    "esmc-like": (["resid_post.29"], 1152),
    "gpt2-small": (["resid_post.5"], 768),
    "pythia-1.4b": (["resid_post.11"], 2048),
}
"""Sites of a store for each preset, and their width."""


def test_every_file_is_a_preset_and_says_where_it_is_from() -> None:
    presets = {preset.name: preset for preset in list_presets()}
    assert presets.keys() == STORES.keys()
    assert {f"{name}.toml" for name in presets} == {path.name for path in (files("trainers") / "presets").iterdir()}
    for preset in presets.values():
        comments = [line for line in preset.text.splitlines() if line.startswith("#")]
        assert len(preset.about) > 20
        assert any(line.startswith("# Source: ") for line in comments)
        assert any(line.startswith("# Differs: ") for line in comments)
        assert max(map(len, comments)) <= 120
        assert tomllib.loads(preset.text).keys() <= TrainConfig.model_fields.keys()


@pytest.mark.parametrize("name", STORES)
def test_every_preset_is_a_plan(name: str) -> None:
    sites, width = STORES[name]
    config = settle_config(preset=name)
    read = sites if config.sites in {None, ("resid_post.*",)} else [site for site in sites if site in config.sites]
    facts = StreamFacts(
        sites=tuple(read), width=width, rows=10_000_000, batch_rows=config.batch_rows, batches_per_epoch=4096
    )
    plan = plan_training(config, facts)
    assert plan.dictionary == config.dictionary
    assert plan.latents in {6144, 8192, 10_240, 16_384, 20_480}


def test_an_unknown_preset_is_answered_with_the_nearest_or_with_all() -> None:
    with pytest.raises(errors.UsageError, match="'esm2-3b-topk2': there is no such preset; did you mean 'esm2-3b-to"):
        find_preset("esm2-3b-topk2")
    with pytest.raises(errors.UsageError, match=r"there are esm2-3b-matryoshka, esm2-3b-topk, .* pythia-1.4b"):
        find_preset("x")
    with pytest.raises(errors.UsageError, match="there is no such preset"):
        find_preset("../presets/esm2-8m")
