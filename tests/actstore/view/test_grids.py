import io

import pytest
from rich.console import Console

from actstore.view.grids import facts, grid, human_bytes, human_count, human_time


def test_units_change_where_four_digits_would_be_needed() -> None:
    assert [human_bytes(size) for size in (0, 999, 1000, 999_949, 999_950, 25.2e12, 1e18)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "25.2 TB", "1000.0 PB",
    ]  # fmt: skip
    assert [human_count(count) for count in (0, 99_999, 100_000, 999_400, 999_600, 1.24e18)] == [
        "0", "99,999", "100 k", "999 k", "1 M", "1.24e+18",
    ]  # fmt: skip


def test_tables_show_what_is_put_into_them() -> None:
    table = grid("split", "rows")
    table.add_row("train", "12")
    text = io.StringIO()
    console = Console(file=text, width=60)
    console.print(facts("Plan", {"rows": "12", "size": "1 MB"}))
    console.print(table)
    assert [line.split() for line in text.getvalue().splitlines() if line.split()][:3] == [
        ["Plan"], ["rows", "12"], ["size", "1", "MB"],
    ]  # fmt: skip
    assert "train" in text.getvalue()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (25_165_824_000_000, "25.2 TB"),
        (5e21, "5000000.0 PB"),
    ],
)
def test_bytes_are_in_decimal_units(count: float, text: str) -> None:
    assert human_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (172_800, "2 d"), (1e9, "11574 d")]
)
def test_times_are_in_the_largest_unit_that_still_counts(seconds: float, text: str) -> None:
    assert human_time(seconds) == text
