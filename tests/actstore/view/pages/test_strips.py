import re
from xml.etree import ElementTree as ET

import pytest

from actstore.view.pages.axes import linear_axis
from actstore.view.pages.strips import Scale, Strip, bar, density, nothing, span, strip_table

AXIS = linear_axis(0.0, 10.0)


def shapes(cell: str) -> dict[str, str]:
    return {one.attrib["class"]: one.attrib["d"] for one in ET.fromstring(cell).iter("path")}  # noqa: S314 - our own


def test_a_histogram_lies_where_its_edges_are_and_marks_where_they_are() -> None:
    drawn = shapes(density(AXIS, [2.0, 4.0, 6.0], [1, 2], marks=[5.0]))
    heights = [float(height) for height in re.findall(r"v-([\d.]+)", drawn["area"])]
    assert heights[1] == pytest.approx(2 * heights[0])
    assert drawn["area"].startswith("M20.00")
    assert drawn["tick"].startswith("M50.00")


def test_two_values_are_at_their_places() -> None:
    drawn = shapes(span(AXIS, 2.0, 7.0))
    assert drawn["mark"].startswith("M70.00")
    assert drawn["tick"].startswith("M20.00")


def test_bars_begin_at_the_low_end() -> None:
    assert shapes(bar(AXIS, 5.0))["bar"].startswith("M0 4H50.00")
    assert set(shapes(bar(AXIS, 5.0, own=False))) == {"grid", "bar other"}


def test_the_table_has_every_number_and_keeps_its_roles() -> None:
    strips = [Strip("a<b", bar(AXIS, 1.0), ("1", "x")), Strip("c", nothing("none"), ("2", "y"))]
    table = ET.fromstring(strip_table(Scale("size", AXIS, str), ("site", "number", "word"), strips, stressed="c"))  # noqa: S314
    assert [one.text for one in table.iter("th") if one.text] == ["site", "number", "word", "a<b", "c"]
    assert [one.text for one in table.iter("td") if one.text] == ["1", "x", "none", "2", "y"]
    assert [row.attrib.get("class") for row in table.iter("tr")] == [None, None, "own"]
    roles = {one.tag: one.attrib.get("role") for one in table.iter() if one.tag in {"table", "tbody", "tr", "td"}}
    assert roles == {"table": "table", "tbody": "rowgroup", "tr": "row", "td": "cell"}
