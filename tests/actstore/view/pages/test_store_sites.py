from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.store_page import store_page
from actstore.view.pages.store_sites import error, variance
from tests.actstore.view.pages.stores import cells, facts_of

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def facts(store_of: StoreOf) -> StoreFacts:
    return facts_of(store_of())


def test_numbers_are_those_of_the_manifest(facts: StoreFacts) -> None:
    rows = cells(store_page(facts))
    for name, known in facts.manifest.statistics.items():
        norm, channel, error, *_ = [row for row in rows if row[0] == name]
        assert float(norm[2]) == pytest.approx(known.mean_norm, rel=1e-2)
        assert float(norm[5]) == pytest.approx(known.max_abs, rel=1e-2)
        assert channel[2] == "16"
        assert channel[4] == ", ".join(f"{one.channel}&nbsp;({one.ratio:.0f}x)" for one in known.outlier_channels)
        assert error[2:4] == [f"{known.sqnr_median_db:.1f} dB", f"{known.sqnr_worst_db:.1f} dB"]


def test_the_spectrum_is_that_of_the_rows(facts: StoreFacts) -> None:
    assert facts.rows is not None
    for name, site in facts.rows.sites.items():
        share_K = np.cumsum(site.variance_K) / site.variance_K.sum()
        row = [row for row in cells(store_page(facts)) if row[0] == name][3]
        assert row[2:6] == [str(int((share_K < share).sum()) + 1) for share in (0.5, 0.9, 0.95, 0.99)]


def test_what_is_lossless_is_said_to_be(facts: StoreFacts) -> None:
    exact = {
        name: one.model_copy(update={"sqnr_median_db": None, "sqnr_worst_db": None, "sqnr_worst_channel": None})
        for name, one in facts.manifest.statistics.items()
    }
    every = facts._replace(manifest=facts.manifest.model_copy(update={"statistics": exact}))
    assert "nothing is lost" in "".join(error(every))
    one = facts.manifest.statistics | {"embed": exact["embed"]}
    mixed = cells("".join(error(facts._replace(manifest=facts.manifest.model_copy(update={"statistics": one})))))
    assert ["embed", "nothing is lost", "–", "–", "–", "–"] in mixed


def test_a_site_that_was_not_sampled_keeps_its_row(facts: StoreFacts) -> None:
    assert facts.rows is not None
    rows = facts.rows._replace(sites={name: one for name, one in facts.rows.sites.items() if name != "embed"})
    [row, *_] = [row for row in cells(store_page(facts._replace(rows=rows))) if row[0] == "embed"]
    assert row[1] == "not sampled"
    assert float(row[2]) == pytest.approx(facts.manifest.statistics["embed"].mean_norm, rel=1e-2)


def test_of_many_sites_five_are_named_and_the_others_grey(facts: StoreFacts) -> None:
    assert facts.rows is not None
    [one, *_] = facts.rows.sites.values()
    wide = facts.manifest.sites[0]
    sites = tuple(wide._replace(name=f"resid_post.{number}") for number in range(24))
    frozen = facts.manifest.frozen.model_copy(update={"sites": sites})
    many = facts._replace(
        rows=facts.rows._replace(sites={site.name: one for site in sites}),
        manifest=facts.manifest.model_copy(update={"frozen": frozen}),
    )
    page = "".join(variance(many))
    assert page.count('<g class="faint">') == 19
    assert [
        name for name in (f"resid_post.{number}" for number in range(24)) if f"<span>{name}</span></li>" in page
    ] == [f"resid_post.{number}" for number in (0, 6, 12, 17, 23)]
    assert page.count('<th scope="row">') == 24


def test_an_outlier_that_contradicts_the_variances_is_drawn_where_they_say(facts: StoreFacts) -> None:
    known = facts.manifest.statistics["embed"]
    quiet_D, loud = known.variance_D.copy(), known.mean_D.copy()
    channel = known.outlier_channels[0].channel
    quiet_D[channel] = loud[channel] = 0
    changed = known.model_copy(update={"mean_D": loud, "variance_D": quiet_D})
    manifest = facts.manifest.model_copy(update={"statistics": facts.manifest.statistics | {"embed": changed}})
    assert f"{channel}&nbsp;(" in store_page(facts._replace(manifest=manifest))


def test_rows_without_variance_are_no_reason_to_fail(facts: StoreFacts) -> None:
    assert facts.rows is not None
    flat = {name: one._replace(variance_K=np.zeros(16)) for name, one in facts.rows.sites.items()}
    assert "no variance to explain" in store_page(facts._replace(rows=facts.rows._replace(sites=flat)))
