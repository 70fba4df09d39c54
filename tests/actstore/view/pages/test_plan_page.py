"""The page is parsed as a browser would, strictly."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from actstore.budget.assumptions import Assumptions
from actstore.budget.prices import DEFAULT_PRICES, StoragePrices
from actstore.view.pages.plan_page import plan_page
from actstore.view.plan_report import PlanReport
from tests.actstore.view.plans import prott5_plan
from tests.actstore.view.test_plan_tables import without_rate

VOID = {"meta"}


class Strict(HTMLParser):
    """Notes elements and attributes, and that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


def parsed(report: PlanReport) -> Strict:
    parser = Strict()
    parser.feed(plan_page(report))
    parser.close()
    assert not parser.open
    return parser


@pytest.fixture(scope="module")
def report() -> PlanReport:
    return prott5_plan(Assumptions(measured_rate=12_000.0))


def test_it_is_one_file_that_needs_nothing_else(report: PlanReport) -> None:
    page = parsed(report)
    assert not {tag for tag, _ in page.seen} & {"script", "link", "img", "iframe", "object"}
    assert not any(name in attributes for _, attributes in page.seen for name in ("src", "href", "xlink:href"))
    assert "url(" not in plan_page(report)
    assert "@import" not in plan_page(report)


def test_ids_are_unique_and_pictures_are_described(report: PlanReport) -> None:
    page = parsed(report)
    ids = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
    assert len(ids) == len(set(ids)) == 4
    for tag, attributes in page.seen:
        if tag == "svg":
            assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
    assert "25.2 TB" in "".join(page.text["desc"])
    ticks = {text for text in page.text["text"] if text[-1].isalnum()}
    assert {"$1,000", "$100", "$10", "$1", "$0.10", "100 TB", "10 TB", "1 TB", "100 GB", "10 GB"} <= ticks
    assert "reading int8 once from $0.21 to $20.82" in "".join(page.text["desc"])


def test_numbers_of_the_pictures_are_in_tables_too(report: PlanReport) -> None:
    cells = parsed(report).text["td"]
    assert cells.count("12.7 TB") == 1
    assert "$917" in cells
    assert "79" in cells


def test_drawn_values_are_those_of_the_report(report: PlanReport) -> None:
    svg = ET.fromstring(re.findall(r"<svg.*?</svg>", plan_page(report), re.DOTALL)[0])  # noqa: S314 - our own text
    names = [text.text for text in svg.iter("text") if text.attrib["class"] == "name"]
    assert names == ["float16, bfloat16", "int8", "int4"]
    assert len(list(svg.iter("circle"))) == len({one.fraction for one in report.scenarios})


def test_it_is_readable_in_light_and_dark(report: PlanReport) -> None:
    style = "".join(parsed(report).text["style"])
    palettes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert "prefers-color-scheme: dark" in style
    for palette in palettes:
        colours = dict(re.findall(r"--(\w+): #(\w{6})", palette))
        for name in ("ink", "soft", "line0", "line1", "line2", "line3", "line4"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, (name, palette)
    assert len(palettes) == 2


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        channels = [int(colour[index : index + 2], 16) / 255 for index in (0, 2, 4)]
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_names_are_text_and_never_markup(report: PlanReport) -> None:
    page = plan_page(report._replace(model="<script>alert(1)</script>&"))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&amp;" in page


def test_what_is_not_known_is_not_drawn(report: PlanReport) -> None:
    page = parsed(without_rate(report))
    assert sum(tag == "svg" for tag, _ in page.seen) == 1
    assert "Unknown: give --measured-rate." in "".join(page.text["p"])


def test_what_is_free_is_not_drawn() -> None:
    nothing = StoragePrices(
        dollars_per_gb_month=0, dollars_per_1000_put=0, dollars_per_1000_get=0, dollars_per_gb_egress=0
    )
    prices = DEFAULT_PRICES.model_copy(update={"storage": nothing, "gpu": {"A100": 0.0}})
    page = parsed(prott5_plan(Assumptions(prices=prices)))
    assert sum(tag == "svg" for tag, _ in page.seen) == 1
    assert any("all costs are 0" in text for text in page.text["p"])
