"""Norms are shown where they fit; rows are numbered as the command line takes them."""

from rich.console import Console

from actstore.view.row_table import RowsReport, rows_view


def shown(sites: tuple[str, ...]) -> str:
    row = {"row": 12345, "id": "P\x1b[31m1", "position": 1022, "residue": "M", "norms": dict.fromkeys(sites, 1234.5)}
    console = Console(width=80, markup=False)
    with console.capture() as captured:
        console.print(rows_view(RowsReport("store", sites, 16, (row,), None)))
    return captured.get()


def test_norms_of_few_sites_are_shown() -> None:
    assert "1,234.50" in shown(("embed",))
    assert "1,234.50" not in shown(("embed", "final_norm", "resid_post.1"))


def test_numbers_are_those_of_the_command_line_and_text_obeys_nothing() -> None:
    text = shown(("embed",))
    assert " 12345 " in text
    assert "\x1b[31m" not in text
