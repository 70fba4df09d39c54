import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from actstore.store.open import open_store
from actstore.view.reports import (
    ExtractReport,
    Fault,
    InspectReport,
    PlannedSplit,
    PlanReport,
    VerifyReport,
    report_manifest,
)
from actstore.view.tables import extract_view, human_bytes, inspect_view, plan_view, verify_view

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
    return report_manifest(open_store(store_of())[0])


EXTRACTED = ExtractReport("/data/store", "ab" * 32, 1_000_000, 62, 5, 900_000, 12.5, 72_000.0)
PLANNED = PlanReport(
    rows=512_000_000,
    sequences=60_000_000,
    residues=17_000_000_000,
    skipped={"foreign letters": 12, "too short": 3},
    tasks=31_250,
    objects=1_000_000,
    encoding="int8",
    compressor="none",
    bytes_total=12_607_488_000_000,
    bytes_per_row=24_624,
    bytes={"float16": 25_165_824_000_000, "int8": 12_607_488_000_000},
    sites={f"resid_post.{block}": 1024 for block in range(24)},
    splits={
        "train": PlannedSplit(59_000_000, 500_000_000, 30_518),
        "a_split_with_a_long_name" * 3: PlannedSplit(1, 2, 3),
    },
)
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
    for view in (extract_view(EXTRACTED), plan_view(PLANNED), verify_view(DAMAGED), inspect_view(inspected)):
        lines = shown(view, width=width)
        assert lines
        assert max(map(len, lines)) <= width


def test_an_extraction_tells_what_this_run_did() -> None:
    text = unfolded(extract_view(EXTRACTED))
    assert "1,000,000 in 62 tasks" in text
    assert "900,000 rows in 12.5 s (72,000 rows/s)" in text
    assert "5 tasks of earlier runs" in text
    assert "earlier runs" not in unfolded(extract_view(EXTRACTED._replace(tasks_before=0)))


def test_a_plan_tells_sizes_in_every_encoding() -> None:
    text = unfolded(plan_view(PLANNED))
    assert "12.6 TB as int8 (24,624 bytes a row)" in text
    assert "25.2 TB" in text
    assert "12 foreign letters, 3 too short" in text
    assert "skipped: none" in unfolded(plan_view(PLANNED._replace(skipped={})))


def test_a_plan_tells_what_auto_means() -> None:
    assert "auto" not in unfolded(plan_view(PLANNED))
    auto = unfolded(plan_view(PLANNED._replace(compressor="auto")))
    assert "auto: zstd or blosc if it saves 25% of the first task, else none; sizes are without" in auto


def test_an_inspection_shows_what_the_compressors_made_of_the_first_task(inspected: InspectReport) -> None:
    assert "tried" not in unfolded(inspect_view(inspected))
    tried = inspected._replace(compressor_ratios={"zstd": 1.08, "blosc": 1.016})
    assert "tried on the first task: zstd 1.08x, blosc 1.02x" in unfolded(inspect_view(tried))


def test_damage_is_listed_and_a_long_list_is_cut() -> None:
    text = unfolded(verify_view(DAMAGED))
    assert "71 faults; 70 of 80 tasks" in text
    assert "sites/resid_post.49/values/c/49/0" in text
    assert "sites/resid_post.50/" not in text
    assert "and 21 more" in text
    few = unfolded(verify_view(DAMAGED._replace(faults=DAMAGED.faults[-1:])))
    assert "1 fault;" in few
    assert "more" not in few


def test_damage_of_tasks_comes_with_the_way_out() -> None:
    assert "Remove commits/<task>.json" in unfolded(verify_view(DAMAGED))
    elsewhere = DAMAGED._replace(faults=(Fault("recipe.json", None, "edited"),))
    assert "Remove" not in unfolded(verify_view(elsewhere))


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
