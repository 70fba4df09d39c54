import re
from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.view.pages.store_facts import StoreFacts
from actstore.view.pages.store_page import store_page
from tests.actstore.view.pages.stores import cells, facts_of

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def facts(store_of: StoreOf) -> StoreFacts:
    return facts_of(store_of())


def test_numbers_are_those_of_the_manifest(facts: StoreFacts) -> None:
    page, manifest, report = store_page(facts), facts.manifest, facts.report
    rows = cells(page)
    for name, split in manifest.splits.items():
        [row] = [row for row in rows if row[0] == name]
        assert row[1:3] == [f"{split.sequences:,}", f"{split.rows:,}"]
    for text in (
        f"{report.bytes_total:,} bytes in {report.objects:,} objects",
        manifest.digest,
        manifest.frozen.digest,
    ):
        assert text in page


def test_savings_are_beside_what_the_rows_would_take(facts: StoreFacts) -> None:
    rows = {
        row[0]: row[2:] for row in cells(store_page(facts)) if row and row[0].startswith(("every", "the kept", "this"))
    }
    features = sum(site.width for site in facts.manifest.sites)
    own = facts.report.bytes_per_row * facts.report.rows
    assert rows["this store: int8"] == [f"{own / 1e3:.1f} kB", "1.00x"]
    assert rows["every residue in float32"][1] == f"{4 * features * facts.report.residues / own:.2f}x"
    assert rows["every residue in 16 bit"][1] == f"{facts.report.ratio_to_fp16:.2f}x"
    assert "the kept residues in 16 bit" not in rows  # all are kept


def test_a_manifest_that_counts_no_bytes_is_no_reason_to_fail(facts: StoreFacts) -> None:
    nothing = facts.report._replace(bytes_per_row=0.0, bits_per_value=0.0, ratio_to_fp16=0.0)
    assert "nothing is known of its size" in store_page(facts._replace(report=nothing))


def test_kept_residues_are_a_saving_of_their_own(store_of: StoreOf) -> None:
    page = store_page(facts_of(store_of(**{"rows.fraction": 0.25})))
    [row] = [row for row in cells(page) if row[0] == "the kept residues in 16 bit"]
    assert row[3].endswith("x")


def test_missing_tasks_are_on_the_map(own_store: StoreOf) -> None:
    store = own_store()
    (store / "manifest.json").unlink()
    (store / "commits" / "1.json").unlink()
    facts = facts_of(store)
    drawn = re.findall(r'<div class="tasks">(.*?)</div>', store_page(facts))
    squares = [square for split in drawn for square in re.findall(r"<i(.*?)></i>", split)]
    assert squares == ["" if commit is None else ' class="done"' for commit in facts.manifest.commits]
    assert "The digest changes until all tasks are extracted." in store_page(facts)


def test_many_tasks_share_a_square(facts: StoreFacts) -> None:
    frozen, digest = facts.manifest.frozen, "0" * 64
    split = frozen.splits["train"].model_copy(update={"tasks": 100_000})
    many = facts.manifest.model_copy(
        update={
            "frozen": frozen.model_copy(update={"splits": {"train": split}}),
            "commits": (digest,) * 50_050 + (None,) * 49_950,
        }
    )
    report = facts.report._replace(tasks_total=100_000, tasks_done=50_050)
    page = store_page(facts._replace(manifest=many, report=report))
    assert page.count('<i class="done"></i>') == 500 + 1  # and one in the key
    assert page.count('<i class="part"></i>') == 1 + 1
    assert "A square stands for 100 tasks." in page


def test_a_part_counts_what_is_here(part_store: Path) -> None:
    facts = facts_of(part_store)
    page, rows = store_page(facts), cells(store_page(facts))
    assert (
        "at 2 sites, kept for 2,048 residues of some of the 60 proteins of the whole store. It is a part: 2 of" in page
    )
    assert "residues in the whole store</dd>" in page
    assert next(row for row in rows if row[0] == "split")[1] == "proteins of the whole store"
    assert [row[0] for row in rows if row[0].startswith(("every", "the kept", "this"))] == [
        "the kept residues in 16 bit",
        "this part: int8",
    ]


def test_rows_of_unknown_proteins_are_counted_as_rows(blocks_store: Path) -> None:
    page = store_page(facts_of(blocks_store))
    assert "<dd>unknown</dd><dd>rows in 8 blocks</dd>" in page
    assert "kept for 2,000 rows of unknown proteins." in page
    assert "residue in 16 bit" not in page
