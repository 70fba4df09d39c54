import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.view.pages.axes import linear_axis, log_axis
from actstore.view.pages.charts import Labels, Line, bar_chart, line_chart

POSITIVE = st.floats(1e-9, 1e15)
POINTS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=6).map(tuple)
LABELS = Labels("c", "Size & <cost>", "what it shows", "fraction", "bytes", str, str)


def drawn(*lines: Line) -> ET.Element:
    points = [point for line in lines for point in line.points] or [(1.0, 1.0)]
    axes = (log_axis([x for x, _ in points]), log_axis([y for _, y in points]))
    text = line_chart(lines, *axes, LABELS)
    return ET.fromstring(f"<body>{text}</body>")  # noqa: S314 - our own text


def places(data: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", data)]


def paths(chart: ET.Element, kind: str) -> list[str]:
    return [one.attrib["d"] for one in chart.iter("path") if one.attrib["class"] == kind]


@given(
    lines=st.lists(
        st.builds(Line, st.text("abc<&>", max_size=8), POINTS, st.booleans(), st.booleans(), st.just(False)),
        min_size=1,
        max_size=5,
    )
)
def test_everything_is_within_the_picture(lines: list[Line]) -> None:
    chart = drawn(*lines)
    for data in paths(chart, "line") + paths(chart, "mark"):
        assert all(-0.01 <= x <= 100.01 and -0.01 <= y <= 100.01 for x, y in places(data))


def test_it_tells_a_screen_reader_what_it_shows() -> None:
    chart = drawn(Line("int8", ((0.1, 1.0), (1.0, 10.0))))
    [picture] = [one for one in chart.iter("div") if one.attrib.get("role") == "img"]
    named = {one.attrib.get("id"): one.text for one in chart.iter()}
    assert named[picture.attrib["aria-labelledby"]] == "Size & <cost>"
    assert named[picture.attrib["aria-describedby"]] == "what it shows"


def test_more_is_higher_and_further_right() -> None:
    [line] = paths(drawn(Line("int8", ((0.01, 5.0), (0.1, 50.0), (1.0, 500.0)))), "line")
    assert len(places(line)) == 3
    assert all(left < right and low > high for (left, low), (right, high) in pairwise(places(line)))


def test_a_line_for_comparison_is_behind_and_not_in_the_legend() -> None:
    chart = drawn(
        Line("own", ((1.0, 1.0), (2.0, 2.0))), Line("other", ((1.0, 2.0),), faint=True), Line("b", ((1.0, 1.0),))
    )
    assert [span.text for item in chart.iter("li") for span in item.iter("span")] == ["own", "b"]
    assert [group.attrib["class"] for group in chart.iter("g")] == ["faint", "line0", "line1"]


def test_one_line_needs_no_legend() -> None:
    assert not list(drawn(Line("own", ((1.0, 1.0), (2.0, 2.0)))).iter("li"))


def test_bars_are_as_high_as_their_numbers() -> None:
    text = bar_chart([1, 2, 3, 4], [10, 0, 5], linear_axis(1, 4), linear_axis(0, 10), LABELS)
    [area] = paths(ET.fromstring(text), "area")  # noqa: S314 - our own text
    assert [float(height) for height in re.findall(r"V([\d.]+)H", area)] == [0.0, 50.0]


def test_a_chart_of_nothing_or_of_too_much_is_refused() -> None:
    for lines in ((), tuple(Line(str(index), ((1.0, 1.0),)) for index in range(6))):
        with pytest.raises(ValueError, match="1 to 5 lines"):
            drawn(*lines)
