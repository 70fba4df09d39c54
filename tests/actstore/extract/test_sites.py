from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.errors import SiteError
from actstore.extract.families import ARCHITECTURES, Architecture
from actstore.extract.sites import AvailableSites, SitePath, available_sites, resolve_sites

BLOCKS = 12


def esm_modules() -> list[str]:
    modules = ["", "embeddings", "embeddings.word_embeddings", "encoder", "encoder.layer"]
    for block in range(BLOCKS):
        prefix = f"encoder.layer.{block}"
        modules += [prefix, f"{prefix}.attention", f"{prefix}.attention.output", f"{prefix}.intermediate"]
    return [*modules, "encoder.emb_layer_norm_after", "contact_head"]


ESM = available_sites(ARCHITECTURES["esm"], esm_modules())
NAMED = [site.name for site in ESM.named]


def names(*requested: str) -> list[str]:
    return [site.name for site in resolve_sites(requested, ESM)]


class TestWhatAModelOffers:
    def test_embed_then_blocks_in_natural_order_then_final_norm(self) -> None:
        blocks = [f"resid_post.{block}" for block in range(BLOCKS)]
        assert ["embed", *blocks, "final_norm"] == NAMED

    def test_each_site_knows_its_module(self) -> None:
        assert ESM.named[11] == SitePath("resid_post.10", "encoder.layer.10")

    def test_an_architecture_without_a_final_norm_offers_none(self) -> None:
        offer = available_sites(ARCHITECTURES["bert"], esm_modules())
        assert "final_norm" not in [site.name for site in offer.named]

    def test_a_path_that_the_model_lacks_is_refused_with_the_setting_to_change(self) -> None:
        with pytest.raises(SiteError, match=r"no module 'encoder\.layers\.0' .*near: encoder\.layer.*'model\.blocks'"):
            available_sites(Architecture(blocks="encoder.layers"), esm_modules())

    def test_a_model_without_a_row_offers_its_module_paths(self) -> None:
        offer = available_sites(Architecture(), esm_modules())
        assert offer.named == ()
        assert resolve_sites(["contact_head"], offer) == (SitePath("contact_head", "contact_head"),)


class TestResolving:
    def test_a_glob_over_blocks_counts_and_does_not_spell(self) -> None:
        assert names("resid_post.*") == [f"resid_post.{block}" for block in range(BLOCKS)]

    def test_globs_may_pick(self) -> None:
        assert names("resid_post.1?", "resid_post.[02]") == ["resid_post.0", "resid_post.2", *NAMED[11:13]]

    def test_the_order_is_the_models_and_not_the_requests(self) -> None:
        assert names("final_norm", "resid_post.3", "embed") == ["embed", "resid_post.3", "final_norm"]

    def test_duplicates_collapse(self) -> None:
        assert names("embed", "resid_post.2", "resid_post.2", "embed", "resid_post.[2]") == ["embed", "resid_post.2"]

    def test_module_paths_come_last_as_they_were_given(self) -> None:
        later, earlier = "encoder.layer.5.intermediate", "encoder.layer.0.attention"
        assert names(later, "embed", earlier) == ["embed", later, earlier]

    def test_a_glob_over_module_paths_stays_within_components(self) -> None:
        assert names("encoder.layer.*.attention") == [f"encoder.layer.{block}.attention" for block in range(BLOCKS)]

    def test_the_module_path_of_a_named_site_is_that_site(self) -> None:
        assert names("encoder.layer.3", "resid_post.3") == ["resid_post.3"]

    @given(st.lists(st.sampled_from(NAMED), min_size=1, unique=True), st.randoms(use_true_random=False))
    def test_any_order_of_the_same_request_gives_the_same_sites(
        self, requested: list[str], shuffler: random.Random
    ) -> None:
        shuffled = list(requested)
        shuffler.shuffle(shuffled)
        assert names(*shuffled) == names(*requested) == sorted(requested, key=NAMED.index)


class TestRefusals:
    def test_an_unknown_site_shows_what_exists_and_what_is_near(self) -> None:
        with pytest.raises(SiteError) as refused:
            names("resid_pots.3")
        message = str(refused.value)
        assert "no site 'resid_pots.3'" in message
        assert "near: resid_post.3" in message
        assert "embed, resid_post.0 ... resid_post.11, final_norm" in message

    def test_a_block_beyond_the_last_is_unknown(self) -> None:
        with pytest.raises(SiteError, match=r"no site 'resid_post\.12'"):
            names("resid_post.12")

    def test_a_glob_that_matches_nothing_is_refused(self) -> None:
        with pytest.raises(SiteError, match=r"no site 'mlp\.\*'"):
            names("mlp.*")

    def test_no_request_at_all_is_refused(self) -> None:
        with pytest.raises(SiteError, match="no sites were requested; this model has embed"):
            names()

    @pytest.mark.parametrize("name", ["a/b", ".hidden", "..", "back\\slash", "white space"])
    def test_names_that_could_not_be_folders_are_refused(self, name: str) -> None:
        with pytest.raises(SiteError, match="cannot be the name of a site"):
            resolve_sites([name], AvailableSites((), (name,)))

    @pytest.mark.parametrize("name", ["../embed", "/etc", "embed/"])
    def test_paths_are_no_sites(self, name: str) -> None:
        with pytest.raises(SiteError, match="no site"):
            names(name)
