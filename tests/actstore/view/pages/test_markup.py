from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from actstore.view.pages.markup import Markup, element, joined, markup
from tests.actstore.view.pages.strict import parsed


@given(text=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=100))
def test_text_comes_back_from_an_element_and_from_an_attribute(text: str) -> None:
    page = parsed(element("p", text, title=text))
    assert "".join(page.text["p"]) == page.values("title")[0] == text
    assert [tag for tag, _ in page.seen] == ["p"]


def test_what_is_markup_is_not_escaped_again() -> None:
    once = element("b", "a & b")
    assert element("p", once, " < ", joined([once])) == "<p><b>a &amp; b</b> &lt; <b>a &amp; b</b></p>"
    assert isinstance(markup("x"), Markup)


def test_secrets_and_control_characters_are_not_shown() -> None:
    shown = unescape(element("p", "s3://key:SECRETSECRET@bucket \x1b[2J\u202e"))
    assert "SECRETSECRET" not in shown
    assert shown.isprintable()


def test_long_text_is_cut_unless_all_of_it_is_wanted() -> None:
    assert len(element("p", "A" * 10_000)) < 500
    assert len(markup("A" * 10_000, most=None)) == 10_000
