"""Which sites a dictionary reads and writes, and what is refused."""

import pytest

from actstore import errors
from tests.trainers.in_memory import plan_of, stream_of
from tests.trainers.planted import Planted
from trainers.fit.config import TrainConfig
from trainers.fit.read_and_written import sites_of_batches


def test_batches_have_the_sites_that_are_read_then_those_only_written() -> None:
    assert sites_of_batches(TrainConfig(sites=("b", "a"), targets=("a", "c"))) == ("b", "a", "a", "c")
    assert sites_of_batches(TrainConfig(sites=("b",))) == ("b",)
    assert sites_of_batches(TrainConfig(targets=("c",))) is None


def test_a_plan_names_the_sites_of_both_sides_in_the_order_given(three_sites: Planted) -> None:
    plan = plan_of(
        stream_of(three_sites.values_NSD),
        dictionary="clt-topk", sites=("resid_post.1", "resid_post.2"), targets=("resid_post.[02]",),
    )  # fmt: skip
    assert plan.sites == ("resid_post.0", "resid_post.1", "resid_post.2")
    assert plan.read == ("resid_post.1", "resid_post.2")
    assert plan.written == ("resid_post.0", "resid_post.2")
    assert (plan.shape.reads, plan.shape.writes) == ((1, 2), (0, 2))


def test_without_targets_a_dictionary_writes_what_it_reads(three_sites: Planted) -> None:
    plan = plan_of(stream_of(three_sites.values_NSD), dictionary="clt-topk")
    assert plan.read == plan.written == plan.sites
    assert (plan.reads, plan.writes, plan.shape.reads, plan.shape.writes) == (None, None, None, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"dictionary": "topk-sae", "sites": "resid_post.0", "targets": "resid_post.1"},
            "topk-sae writes the sites that it reads, so it has no --target",
        ),
        ({"dictionary": "transcoder-topk", "targets": "resid_post.1"}, "reads one site, not 3; choose one with --site"),
        (
            {"dictionary": "transcoder-topk", "sites": "resid_post.0", "targets": "resid_post.*"},
            "writes one site, not 3; choose one with --target",
        ),
        (
            {"dictionary": "clt-topk", "sites": ("resid_post.0", "resid_post.1"), "targets": "resid_post.2"},
            "writes as many sites as it reads, in the same order, not 1 .* for 2 .*one --target for each --site",
        ),
        (
            {
                "dictionary": "clt-topk",
                "sites": ("resid_post.2", "resid_post.0"),
                "targets": ("resid_post.1", "resid_post.2"),
            },
            "resid_post.2, resid_post.0 are not in the order of the layers",
        ),
    ],
)
def test_sites_that_do_not_fit_are_refused(options: dict[str, object], message: str, three_sites: Planted) -> None:
    with pytest.raises(errors.UsageError, match=message):
        plan_of(stream_of(three_sites.values_NSD), **options)


def test_a_transcoder_needs_a_site_to_write(one_site: Planted) -> None:
    with pytest.raises(
        errors.UsageError, match=r"reads resid_post\.0 and has no site to write; give one with --target"
    ):
        plan_of(stream_of(one_site.values_NSD), dictionary="transcoder-topk")
