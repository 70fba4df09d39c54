from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.view.charts import Line, line_chart

POSITIVE = st.floats(1e-9, 1e15)
POINTS = st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=6).map(tuple)


def drawn(*lines: Line) -> ET.Element:
    text = line_chart(
        lines,
        identity="c",
        title="Size & <cost>",
        description="what it shows",
        x_label="fraction",
        x_text=str,
        y_text=str,
    )
    return ET.fromstring(text)  # noqa: S314 - our own text


def numbers(element: ET.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names if name in element.attrib]


@given(lines=st.lists(st.builds(Line, st.text("abc<&>", max_size=8), POINTS), min_size=1, max_size=5))
def test_everything_is_within_the_picture(lines: list[Line]) -> None:
    svg = drawn(*lines)
    _, _, width, height = map(float, svg.attrib["viewBox"].split())
    for element in svg.iter():
        assert all(0 <= x <= width for x in numbers(element, "x", "cx"))
        assert all(0 <= y <= height + 60 for y in numbers(element, "y", "cy"))


def test_it_tells_a_screen_reader_what_it_shows() -> None:
    svg = drawn(Line("int8", ((0.1, 1.0), (1.0, 10.0))))
    assert svg.attrib["role"] == "img"
    named = {element.attrib.get("id"): element.text for element in svg.iter()}
    assert [named[identity] for identity in svg.attrib["aria-labelledby"].split()] == ["Size & <cost>", "what it shows"]


def test_more_is_higher_and_further_right() -> None:
    svg = drawn(Line("int8", ((0.01, 5.0), (0.1, 50.0), (1.0, 500.0))))
    places = [numbers(mark, "cx", "cy") for mark in svg.iter("circle")]
    assert len(places) == 3
    assert all(left < right and low > high for (left, low), (right, high) in pairwise(places))
    # Equal ratios are equal distances.
    assert places[1][1] - places[0][1] == pytest.approx(places[2][1] - places[1][1], abs=0.11)


def test_lines_are_told_apart_by_more_than_colour() -> None:
    svg = drawn(*(Line(str(index), ((1.0, 10.0**index),)) for index in range(5)))
    marks = [next(element for element in group if element.attrib["class"] == "mark") for group in svg.iter("g")]
    assert len({(mark.tag, mark.attrib.get("d", "")[-8:]) for mark in marks}) == 5


def test_names_of_lines_do_not_cover_each_other() -> None:
    svg = drawn(*(Line(str(index), ((1.0, 100.0 + index),)) for index in range(5)))
    heights = sorted(float(text.attrib["y"]) for text in svg.iter("text") if text.attrib["class"] == "name")
    assert all(below - above >= 15 - 0.11 for above, below in pairwise(heights))


def test_numbers_below_the_axis_do_not_run_into_each_other() -> None:
    svg = drawn(Line("int8", tuple((x, x) for x in (0.01, 0.03, 0.1, 0.127, 0.3, 1.0))))
    ticks = [text for text in svg.iter("text") if text.attrib.get("text-anchor") == "middle"][:-1]
    assert [text.text for text in ticks] == ["0.01", "0.03", "0.127", "0.3", "1.0"]
    places = [float(text.attrib["x"]) for text in ticks]
    assert all(right - left >= 44 - 0.11 for left, right in pairwise(places))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_has_no_logarithm_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        drawn(Line("int8", ((1.0, value),)))


def test_a_chart_of_nothing_or_of_too_much_is_refused() -> None:
    for lines in ((), tuple(Line(str(index), ((1.0, 1.0),)) for index in range(6))):
        with pytest.raises(ValueError, match="1 to 5 lines"):
            drawn(*lines)
