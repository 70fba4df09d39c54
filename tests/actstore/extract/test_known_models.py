import json
from pathlib import Path

import pytest
import transformers

from actstore.contracts.models import Site
from actstore.errors import SiteError
from actstore.extract.known_models import known_sites


@pytest.mark.parametrize(
    ("model", "blocks", "width"),
    [
        ("facebook/esm2_t6_8M_UR50D", 6, 320),
        ("facebook/esm2_t12_35M_UR50D", 12, 480),
        ("facebook/esm2_t30_150M_UR50D", 30, 640),
        ("facebook/esm2_t33_650M_UR50D", 33, 1280),
        ("facebook/esm2_t36_3B_UR50D", 36, 2560),
        ("facebook/esm2_t48_15B_UR50D", 48, 5120),
        ("Rostlab/prot_t5_xl_uniref50", 24, 1024),
        ("Rostlab/prot_t5_xl_half_uniref50-enc", 24, 1024),
        ("Rostlab/prot_t5_xl_bfd", 24, 1024),
        ("AI4PD/ZymCTRL", 36, 1280),
    ],
)
def test_public_models_have_all_their_sites(model: str, blocks: int, width: int) -> None:
    sites = known_sites(model, ["final_norm", "resid_post.*", "embed"])
    assert sites is not None
    assert [site.name for site in sites] == ["embed", *(f"resid_post.{block}" for block in range(blocks)), "final_norm"]
    assert {site.width for site in sites} == {width}


def test_modules_are_those_of_the_real_architecture() -> None:
    """A network with the shape of the smallest one, without its weights."""
    config = transformers.EsmConfig(
        vocab_size=33, hidden_size=320, num_hidden_layers=6, num_attention_heads=20, intermediate_size=1280,
        pad_token_id=1, position_embedding_type="rotary",
    )  # fmt: skip
    modules = dict(transformers.EsmModel(config, add_pooling_layer=False).named_modules())
    sites = known_sites("facebook/esm2_t6_8M_UR50D", ["embed", "resid_post.*", "final_norm"])
    assert sites is not None
    assert {site.module for site in sites} <= modules.keys()
    assert sites[-1] == Site("final_norm", "encoder.emb_layer_norm_after", 320)


def test_a_module_path_of_a_site_is_that_site() -> None:
    assert known_sites("facebook/esm2_t6_8M_UR50D", ["encoder.layer.3"]) == (
        Site("resid_post.3", "encoder.layer.3", 320),
    )


@pytest.mark.parametrize("name", ["facebook/esm2_t6_8M_UR50D ", "esm2_t6_8M_UR50D", "gpt2", "", "./esm2-tiny"])
def test_other_names_are_unknown(name: str) -> None:
    assert known_sites(name, ["embed"]) is None


@pytest.mark.parametrize("site", ["resid_post.6", "resid_post.-1", "encoder.layer.0.mlp", "layer.*"])
def test_a_site_that_a_known_model_does_not_have_is_refused(site: str) -> None:
    with pytest.raises(SiteError, match="no site"):
        known_sites("facebook/esm2_t6_8M_UR50D", [site])


def test_the_shipped_model_is_not_taken_for_a_public_one(esm2_tiny: Path) -> None:
    assert json.loads((esm2_tiny / "config.json").read_text())["hidden_size"] == 128
    assert known_sites(str(esm2_tiny), ["embed"]) is None
