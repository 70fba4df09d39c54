import pytest

from benchmarks.plans import PAGE, TABLES, prott5_table, render


def test_the_page_is_in_step_with_the_recipes() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert render(text) == text, "run 'python -m benchmarks.plans'"


def test_the_page_has_every_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- plans:{name} -->\n" in text for name in TABLES)


def test_a_table_that_nobody_makes_is_an_error() -> None:
    with pytest.raises(ValueError, match="no table 'other'"):
        render("<!-- plans:other -->\n<!-- /plans:other -->")


def test_prott5_is_what_the_arithmetic_says() -> None:
    table = prott5_table()
    assert "| 1 | 512 M | 25.2 TB | 12.7 TB | 6.5 TB |" in table
    assert "403 M parameters and takes 2.4 GFLOP a row, 1.24e+18 FLOP in all: 2.3 h on one A100 at 150 TFLOP/s" in table
    assert "62 k rows/s, which is 3.1 GB/s in float16 and 1.5 GB/s in int8" in table
