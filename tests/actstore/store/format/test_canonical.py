"""Documents have the bytes of RFC 8785, which other languages compute, too."""

from typing import Any

import pytest

from actstore.store.format.canonical import canonical_json


def test_the_example_of_rfc_8785_comes_out_right() -> None:
    """Section 3.2.2: numbers, escapes and order of names."""
    document = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical_json(document).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_names_are_sorted_by_utf_16_and_nothing_follows() -> None:
    """Section 3.2.3: the emoji is before the Hebrew letter, whose code point is smaller."""
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    wanted = '{"\\r":0,"1":0,"\u0080":0,"ö":0,"€":0,"😀":0,"\ufb33":0}'
    assert canonical_json(dict.fromkeys(names, 0)).decode() == wanted


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.0, "1"), (-0.0, "0"), (1e21, "1e+21"), (1e20, "1" + "0" * 20), (1e-6, "0.000001"), (1e-7, "1e-7"),
     (2**53 - 1, "9007199254740991"), (5e-324, "5e-324")],
)  # fmt: skip
def test_numbers_are_those_of_javascript(number: float, text: str) -> None:
    assert canonical_json(number).decode() == text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "nan is not representable"),
        (float("inf"), "inf is not representable"),
        (2**53, "9007199254740992 exceeds"),
        (-(2**53), "-9007199254740992 exceeds"),
        ("\ud800", "non-UTF-8"),
        ({"\ud800": 0}, "surrogates not allowed"),
    ],
)
def test_what_other_languages_cannot_hold_is_refused(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        canonical_json({"a": value})
