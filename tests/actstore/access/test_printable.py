"""Text that is shown says what it holds and moves no cursor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.access.printable import is_plain, printable

ANY_TEXT = st.text(st.characters(codec=None), max_size=60)


@given(text=ANY_TEXT)
def test_whatever_is_shown_can_be_printed(text: str) -> None:
    shown = printable(text, most=20)
    assert shown.isprintable()
    assert shown == text or not text.isprintable() or len(text) > 20


@given(text=ANY_TEXT)
def test_lines_may_stay_lines(text: str) -> None:
    assert printable(text, most=None, keep="\n").count("\n") == text.count("\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("P62258", "P62258"),
        ("naïve ΔG", "naïve ΔG"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("A" * 12, "AAAAAAAA... (12 letters)"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert printable(text, most=8 if text.startswith("AAA") else 400) == shown


@pytest.mark.parametrize(("text", "plain"), [("", False), ("a", True), ("a" * 401, False), ("a\n", False)])
def test_a_plain_name_is_short_and_printable(text: str, plain: bool) -> None:
    assert is_plain(text) is plain
