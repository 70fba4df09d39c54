import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from actstore.leaving import StopReason
from actstore.store.read.open import locate_store
from actstore.view.care_reports import Fault, Garbage, GarbageReport, RepairReport, Unnamed, VerifyReport
from actstore.view.reports import ExtractReport, InspectReport, report_manifest
from actstore.view.tables import (
    extract_view,
    garbage_view,
    inspect_view,
    repair_view,
    verify_view,
)

StoreOf = Callable[..., Path]


def shown(view: RenderableType, *, width: int = 80) -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width, markup=False, emoji=False).print(view)
    return text.getvalue().splitlines()


def unfolded(view: RenderableType) -> str:
    """Return the text on a terminal so wide that nothing is folded."""
    return "\n".join(shown(view, width=2000))


@pytest.fixture(scope="module")
def inspected(store_of: StoreOf) -> InspectReport:
    return report_manifest(locate_store(store_of())[0])


EXTRACTED = ExtractReport(
    uri="/data/store",
    manifest_sha256="ab" * 32,
    rows=1_000_000,
    tasks_total=62,
    tasks_before=5,
    tasks_done=62,
    tasks_left=0,
    complete=True,
    stopped=None,
    workers=1,
    rows_extracted=900_000,
    seconds=12.5,
    rows_per_s=72_000.0,
)
UNFINISHED = EXTRACTED._replace(manifest_sha256=None, tasks_done=50, tasks_left=12, complete=False)
DAMAGED = VerifyReport(
    uri="/data/" + "deep/" * 40 + "store",
    ok=False,
    faults=(
        *(Fault(f"sites/resid_post.{task}/values/c/{task}/0", task, "missing") for task in range(70)),
        Fault("zarr.json", None, "sha256 " + "0" * 200),
    ),
    tasks_done=70,
    tasks_total=80,
    objects=1400,
    bytes=123_456_789,
    recomputed_rows=0,
    not_recomputed="the store is damaged",
)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_every_report_fits_the_width(width: int, inspected: InspectReport) -> None:
    views = (
        extract_view(EXTRACTED), extract_view(UNFINISHED), verify_view(DAMAGED),
        inspect_view(inspected), repair_view(REPAIRED._replace(left=DAMAGED.faults)), garbage_view(GARBAGE),
    )  # fmt: skip
    for view in views:
        lines = shown(view, width=width)
        assert lines
        assert max(map(len, lines)) <= width


def test_an_extraction_tells_what_this_run_did() -> None:
    text = unfolded(extract_view(EXTRACTED))
    assert "1,000,000 in 62 tasks" in text
    assert "900,000 rows in 12.5 s (72,000 rows/s)" in text
    assert "5 tasks of earlier runs" in text
    assert "workers" not in text
    assert "earlier runs" not in unfolded(extract_view(EXTRACTED._replace(tasks_before=0)))
    assert "(72,000 rows/s, 8 workers)" in unfolded(extract_view(EXTRACTED._replace(workers=8)))


@pytest.mark.parametrize(
    ("stopped", "why"),
    [("time", "the time is over"), ("request", "on request"), ("SIGINT", "by Ctrl-C"), ("SIGTERM", "by SIGTERM")],
)
def test_an_extraction_that_was_stopped_tells_how_to_go_on(stopped: StopReason, why: str) -> None:
    text = unfolded(extract_view(UNFINISHED._replace(stopped=stopped)))
    assert "Not complete" in text
    assert why in text
    assert "12 tasks; the same command continues" in text
    assert "manifest" not in text


def test_an_extraction_of_a_share_tells_what_is_left_to_others() -> None:
    text = unfolded(extract_view(UNFINISHED))
    assert "12 tasks of other shares" in text
    assert "'actstore extract --store /data/store' does the remaining tasks" in text


def test_an_extraction_that_was_stopped_before_its_store_was_begun_says_so() -> None:
    nothing = UNFINISHED._replace(rows=0, tasks_total=0, tasks_before=0, tasks_done=0, tasks_left=0, stopped="SIGTERM")
    assert "the store was not begun; the same command starts again" in unfolded(extract_view(nothing))


def test_an_inspection_shows_what_the_compressors_made_of_the_first_task(inspected: InspectReport) -> None:
    assert "tried" not in unfolded(inspect_view(inspected))
    tried = inspected._replace(compressor_ratios={"zstd": 1.08, "blosc": 1.016})
    assert "tried on the first task: zstd 1.08x, blosc 1.02x" in unfolded(inspect_view(tried))


def test_an_inspection_shows_licences_and_citations_as_they_were_given(inspected: InspectReport) -> None:
    assert "licence" not in unfolded(inspect_view(inspected))
    told = inspected._replace(
        licenses={"corpus": "CC-BY-4.0"}, citations={"model": "@article{one,\n  year = 2023\x1b\n}"}
    )
    text = unfolded(inspect_view(told))
    assert re.search(r"corpus licence +CC-BY-4.0", text)
    assert re.search(r"cite the model +@article\{one, *\n +year = 2023\\x1b", text)


def test_damage_is_listed_and_a_long_list_is_cut() -> None:
    text = unfolded(verify_view(DAMAGED))
    assert "71 faults; 70 of 80 tasks" in text
    assert "sites/resid_post.49/values/c/49/0" in text
    assert "sites/resid_post.50/" not in text
    assert "and 21 more" in text
    few = unfolded(verify_view(DAMAGED._replace(faults=DAMAGED.faults[-1:])))
    assert "1 fault;" in few
    assert "more" not in few


def test_damage_comes_with_the_way_out() -> None:
    assert f"'actstore repair {DAMAGED.uri} --dry-run' lists what can be repaired" in unfolded(verify_view(DAMAGED))


def test_what_is_not_part_of_a_store_is_counted() -> None:
    assert "not part of it" not in unfolded(verify_view(DAMAGED))
    unnamed = (Unnamed("notes", 1500, "nothing in a store has this name"), Unnamed("more", 500, "likewise"))
    for report in (DAMAGED, DAMAGED._replace(ok=True, faults=())):
        text = unfolded(verify_view(report._replace(unnamed=unnamed)))
        assert f"2 objects, 2.0 kB: 'actstore gc {DAMAGED.uri}' lists them" in text


REPAIRED = RepairReport(
    uri="/data/store",
    ok=True,
    dry_run=False,
    faults=(Fault("rows/token/c/2", 2, "missing"),),
    tasks=tuple(range(2, 30)),
    written=("rows/token/c/2",),
    left=(),
    rows_extracted=16_384,
    seconds=2.5,
    manifest_before="ab" * 32,
    manifest_sha256="ab" * 32,
)


def test_a_repair_tells_what_it_did() -> None:
    text = unfolded(repair_view(REPAIRED))
    assert "Repaired" in text
    assert "1 fault" in text
    assert "2, 3, 4" in text
    assert "21, ..." in text
    assert "1 object, 16,384 rows in 2.5 s" in text
    assert "it was" not in text


def test_a_repair_that_changed_the_manifest_tells_both_digests() -> None:
    text = unfolded(repair_view(REPAIRED._replace(manifest_sha256="cd" * 32)))
    assert re.search(f"manifest *{'cd' * 32}\\s+it was +{'ab' * 32}", text)
    assert "it was" not in unfolded(repair_view(REPAIRED._replace(manifest_before=None)))


def test_a_repair_lists_what_is_left() -> None:
    left = (Fault("sequences.parquet", None, "missing; put back a copy"),)
    text = unfolded(repair_view(REPAIRED._replace(ok=False, left=left)))
    assert "Not all repaired" in text
    assert "put back a copy" in text


def test_a_dry_run_lists_the_faults_and_says_that_nothing_was_done() -> None:
    text = unfolded(repair_view(REPAIRED._replace(dry_run=True)))
    assert "To repair" in text
    assert "would write" in text
    assert "rows/token/c/2" in text
    assert "wrote" not in text
    nothing = REPAIRED._replace(dry_run=True, faults=(), tasks=(), written=())
    assert "no damage" in unfolded(repair_view(nothing))
    assert "none to extract again" in unfolded(repair_view(nothing))


GARBAGE = GarbageReport(
    uri="/data/store",
    garbage=(
        Garbage("rows/token/c/2", 2048, 2 * 86_400.0, "task 2 has no commit"),
        *(Garbage(f"notes/{index}", 10, 90_000.0, "nothing in a store has this name") for index in range(60)),
    ),
    bytes=2648,
    recent=(Garbage("young", 5, 10.0, "nothing in a store has this name"),),
    recent_bytes=5,
    older_than_s=86_400.0,
    deleted=False,
)


def test_garbage_is_listed_with_its_age_and_a_long_list_is_cut() -> None:
    text = unfolded(garbage_view(GARBAGE))
    assert "61 objects, 2.6 kB, not part of the store; --delete removes them" in text
    assert "1 object, 5 B, younger than 24 h or of unknown age" in text
    assert "2 d" in text
    assert "and 11 more" in text
    assert "removed" in unfolded(garbage_view(GARBAGE._replace(deleted=True)))
    unknown = GARBAGE._replace(garbage=(Garbage("x", 1, None, "y"),))
    assert "x" in unfolded(garbage_view(unknown))


def test_foreign_files_are_listed_and_no_option_removes_them() -> None:
    foreign = (Garbage("notes.txt", 10, 90_000.0, "nothing in a store has this name"),)
    text = unfolded(garbage_view(GARBAGE._replace(garbage=(), bytes=0, foreign=foreign)))
    assert "1 object that actstore did not write; never removed" in text
    assert "notes.txt" in text


def test_no_garbage_is_nothing() -> None:
    text = unfolded(garbage_view(GARBAGE._replace(garbage=(), recent=())))
    assert "nothing" in text
    assert "left alone" not in text


def test_a_sound_store_tells_what_was_compared() -> None:
    sound = DAMAGED._replace(ok=True, faults=(), recomputed_rows=64, not_recomputed=None)
    assert "64 rows agree with the model" in unfolded(verify_view(sound))
    reason = "the model x is neither a local folder nor in the Hugging Face cache"
    assert reason in unfolded(verify_view(sound._replace(recomputed_rows=0, not_recomputed=reason)))


def test_rows_that_differ_from_the_model_are_not_called_agreeing() -> None:
    differing = DAMAGED._replace(recomputed_rows=64, not_recomputed=None)
    assert "64 rows compared with the model" in unfolded(verify_view(differing))


def test_an_inspection_shows_every_site_and_its_outliers(inspected: InspectReport) -> None:
    text = unfolded(inspect_view(inspected))
    for name, site in inspected.sites.items():
        [(channel, ratio)] = site.outlier_channels.items()
        line = next(line for line in text.splitlines() if line.strip().startswith(name))
        assert f"{channel} ({ratio:.0f}x)" in line
    assert f"complete, {inspected.rows:,} of {inspected.rows:,} rows" in text
    site = inspected.sites["embed"]._replace(sqnr_median_db=None, sqnr_worst_db=None)
    assert "lossless" in unfolded(inspect_view(inspected._replace(sites={"embed": site})))


@pytest.mark.parametrize("name", ["/data/[bold]x", "/data/[/x]", "a:smile:b", "[red]"])
def test_names_are_shown_as_they_are(name: str, inspected: InspectReport) -> None:
    assert name in unfolded(extract_view(EXTRACTED._replace(uri=name)))
    assert name in unfolded(inspect_view(inspected._replace(uri=name)))
    assert name in unfolded(verify_view(DAMAGED._replace(faults=(Fault(name, 0, name),))))
