"""Sites are found in models with and without a head, and where hooks would not work they are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from actstore import errors
from trainers.exchange.facts import SiteFacts
from trainers.exchange.model_sites import find_sites


@pytest.fixture
def esm() -> Any:
    config = transformers.EsmConfig(
        vocab_size=33,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        pad_token_id=1,
        mask_token_id=32,
        position_embedding_type="rotary",
        max_position_embeddings=32,
    )
    model: Any = transformers.EsmForMaskedLM(config)
    return model.eval()


def sites(*paths: str | None) -> list[SiteFacts]:
    return [SiteFacts(name=f"site.{number}", module=path, width=16) for number, path in enumerate(paths)]


class Wrapper(nn.Module):
    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


def test_in_a_base_model_paths_are_those_of_the_store(esm: Any) -> None:
    found = find_sites(esm.esm, sites("encoder.layer.1", "embeddings"))
    assert found.modules == (esm.esm.encoder.layer[1], esm.esm.embeddings)
    assert (found.network,) == found.around[:1]
    assert found.around == (esm.esm, esm.esm.encoder, esm.esm.encoder.layer)


def test_a_model_with_a_head_has_them_in_its_base_model(esm: Any) -> None:
    found = find_sites(esm, sites("encoder.layer.1"))
    assert (found.network, found.modules) == (esm.esm, (esm.esm.encoder.layer[1],))
    assert found.around[0] is esm


def test_any_other_module_has_them_where_all_paths_begin(esm: Any) -> None:
    found = find_sites(Wrapper(plm=esm, probe=nn.Linear(16, 2)), sites("encoder.layer.1", "embeddings"))
    assert (found.network, found.modules[0]) == (esm.esm, esm.esm.encoder.layer[1])


def test_where_several_could_be_meant_all_are_named(esm: Any) -> None:
    like_it = Wrapper(encoder=Wrapper(layer=nn.ModuleList([nn.ReLU()])))
    pair = Wrapper(one=esm.esm, other=like_it)
    with pytest.raises(errors.SiteError, match=r"several modules .*: one\.encoder\.layer\.0, other\.encoder\.layer\.0"):
        find_sites(pair, sites("encoder.layer.0"))
    chosen = find_sites(pair, sites("encoder.layer.0"), {"site.0": "one.encoder.layer.0"})
    assert chosen.modules == (esm.esm.encoder.layer[0],)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (None, "the model is None; give a model in memory"),
        ("facebook/esm2_t6_8M_UR50D", "the model is 'facebook/esm2_t6_8M_UR50D'; give a model in memory"),
        (nn.Linear, "the model is of type type; give a model in memory"),
    ],
)
def test_what_is_no_model_is_refused(model: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        find_sites(model, sites("encoder.layer.1"))


def test_a_module_without_parts_is_said_to_have_none() -> None:
    said = r"^Linear has no module 'encoder\.layer\.1'; there are no modules in it \(give the model whose activations"
    with pytest.raises(errors.SiteError, match=said):
        find_sites(nn.Linear(16, 16), sites("encoder.layer.1"))


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        (["encoder.layer.1"], r"modules is a list; give paths by site: modules=\{'site\.0': PATH\}"),
        ({"site.0": None}, "modules holds None; give texts"),
        ({0: "encoder.layer.1"}, "modules holds 0; give texts"),
    ],
)
def test_modules_are_paths_by_site(esm: Any, modules: Any, said: str) -> None:
    with pytest.raises(errors.UsageError, match=said):
        find_sites(esm, sites("encoder.layer.1"), modules)


def test_a_tied_module_is_one(esm: Any) -> None:
    assert find_sites(Wrapper(one=esm.esm, same=esm.esm), sites("encoder.layer.0")).network is esm.esm


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("encoder.layer.7", "EsmForMaskedLM has no module 'encoder.layer.7'; did you mean 'esm.encoder.layer."),
        ("unknown", "EsmForMaskedLM has no module 'unknown'; it has esm, esm.embeddings"),
        ("transformer.blocks.dense", "has no module 'transformer.blocks.dense'"),
    ],
)
def test_a_module_that_does_not_exist_is_named_with_the_nearest(path: str, said: str, esm: Any) -> None:
    with pytest.raises(errors.SiteError) as caught:
        find_sites(esm, sites(path))
    assert said in str(caught.value)
    assert "or name the module with 'modules'" in str(caught.value)


def test_a_path_that_is_not_known_has_to_be_given(esm: Any) -> None:
    with pytest.raises(errors.SiteError, match=r"modules=\{'site\.0': PATH\}"):
        find_sites(esm, sites(None))
    found = find_sites(esm, sites(None, "encoder.layer.0"), {"site.0": "esm.encoder.emb_layer_norm_after"})
    assert found.modules == (esm.esm.encoder.emb_layer_norm_after, esm.esm.encoder.layer[0])
    assert found.network is esm.esm
    assert find_sites(esm, sites(None), {"site.0": "lm_head"}).network is esm.esm


def test_given_paths_are_checked(esm: Any) -> None:
    with pytest.raises(errors.SiteError, match=r"the model has no module 'encoder\.layer\.0'; did you mean"):
        find_sites(esm, sites(None), {"site.0": "encoder.layer.0"})
    with pytest.raises(errors.SiteError, match=r"no site 'sites\.0'; it has site\.0; did you mean 'site\.0'"):
        find_sites(esm, sites(None), {"sites.0": "lm_head"})


class TestWhereHooksDoNotWork:
    def test_compiled_models(self, esm: Any) -> None:
        with pytest.raises(errors.UsageError, match=r"the model is compiled.* give the model that was compiled"):
            find_sites(torch.compile(esm, backend="eager"), sites("encoder.layer.1"))  # type: ignore[arg-type]
        esm.compile(backend="eager")
        with pytest.raises(errors.UsageError, match="load the model again without compiling it"):
            find_sites(esm, sites("encoder.layer.1"))

    def test_compiled_blocks(self, esm: Any) -> None:
        layer = esm.esm.encoder.layer[1]
        layer.forward = torch.compile(layer.forward, backend="eager")
        assert find_sites(esm, sites("encoder.layer.1")).modules == (layer,)
        with pytest.raises(errors.UsageError, match=r"the module 'esm\.encoder\.layer\.1' is compiled"):
            find_sites(esm, sites("encoder.layer.1.output"))
        assert find_sites(esm, sites("encoder.layer.0.output"))

    def test_replicated_models(self, esm: Any) -> None:
        with pytest.raises(errors.UsageError, match=r"is DataParallel; give the model that it wraps: its '\.module'"):
            find_sites(nn.DataParallel(esm), sites("encoder.layer.1"))

    def test_models_that_compute_their_blocks_again(self, esm: Any) -> None:
        esm.esm.encoder.layer[0].gradient_checkpointing = True
        assert find_sites(esm, sites("encoder.layer.1"))
        esm.train()
        with pytest.raises(errors.UsageError, match=r"call model\.eval\(\), or turn"):
            find_sites(esm, sites("encoder.layer.1"))
