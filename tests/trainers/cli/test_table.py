import pytest

from trainers.cli.table import print_grid, print_table


def test_a_grid_shows_names_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_grid(("run", "L0"), [("runs/[a]:b:", "16.0")])
    shown = capsys.readouterr().out
    assert "runs/[a]:b:" in shown
    assert shown.index("run") < shown.index("L0")


def test_a_table_leaves_out_what_has_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    print_table({"rows_per_s": 1234.5, "k": None, "sites": ("a", "b"), "per": {"x_y": 1}})
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["rows", "per", "s", "1,234"],
        ["sites", "a,", "b"],
        ["per"],
        ["x", "y", "1"],
    ]
