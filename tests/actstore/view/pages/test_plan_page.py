"""The page is parsed as a browser would, strictly."""

import re

import pytest

from actstore.budget.assumptions import Assumptions
from actstore.budget.prices import DEFAULT_PRICES, StoragePrices
from actstore.view.pages.plan_page import plan_page
from actstore.view.plan_report import PlanReport
from tests.actstore.view.pages.strict import Strict, parsed
from tests.actstore.view.plans import prott5_plan
from tests.actstore.view.test_plan_tables import without_rate


def page_of(report: PlanReport) -> Strict:
    return parsed(plan_page(report))


@pytest.fixture(scope="module")
def report() -> PlanReport:
    return prott5_plan(Assumptions(measured_rate=12_000.0))


def test_it_is_one_file_that_needs_nothing_else(report: PlanReport) -> None:
    page = page_of(report)
    assert not {tag for tag, _ in page.seen} & {"img", "iframe", "object"}
    assert {value[:5] for value in page.values("href")} <= {"data:", "#cont", "#stor", "#cost", "#brea", "#assu"}
    assert not page.values("src")
    assert "url(" not in plan_page(report)
    assert "@import" not in plan_page(report)


def test_ids_are_unique_and_pictures_are_described(report: PlanReport) -> None:
    page = page_of(report)
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert set(page.values("aria-labelledby")) | set(page.values("aria-describedby")) <= set(ids)
    spans = page.text["span"]
    assert any("25.2 TB" in text for text in spans)
    assert {"$1,000", "$100", "$10", "$1", "$0.10", "100 TB", "10 TB", "1 TB", "100 GB", "10 GB"} <= set(spans)
    assert any("reading int8 once from $0.21 to $20.82" in text for text in spans)


def test_numbers_of_the_pictures_are_in_tables_too(report: PlanReport) -> None:
    cells = page_of(report).text["td"]
    assert cells.count("12.7 TB") == 1
    assert "$917" in cells
    assert "79" in cells


def test_drawn_values_are_those_of_the_report(report: PlanReport) -> None:
    page = plan_page(report)
    assert re.findall(r"</svg><span>([^<]+)</span></li>", page)[:3] == ["float16, bfloat16", "int8", "int4"]
    marks = re.findall(r'class="mark" d="([^"]+)"', page)
    assert max(mark.count("M") for mark in marks) == len({one.fraction for one in report.scenarios})


def test_names_are_text_and_never_markup(report: PlanReport) -> None:
    page = plan_page(report._replace(model="<script>alert(1)</script>&"))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page


def test_what_is_not_known_is_not_drawn(report: PlanReport) -> None:
    page = page_of(without_rate(report))
    assert page.values("role").count("img") == 1
    assert "Unknown: give --measured-rate." in "".join(page.text["p"])


def test_what_is_free_is_not_drawn() -> None:
    nothing = StoragePrices(
        dollars_per_gb_month=0, dollars_per_1000_put=0, dollars_per_1000_get=0, dollars_per_gb_egress=0
    )
    prices = DEFAULT_PRICES.model_copy(update={"storage": nothing, "gpu": {"A100": 0.0}})
    page = page_of(prott5_plan(Assumptions(prices=prices)))
    assert page.values("role").count("img") == 1
    assert any("all costs are 0" in text for text in page.text["p"])
