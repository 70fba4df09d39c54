import io

import pytest
from rich.console import Console

from actstore.budget.assumptions import Assumptions
from actstore.view.plan_report import PlanReport
from actstore.view.plan_tables import plan_view
from tests.actstore.view.plans import prott5_plan


def shown(report: PlanReport, *, width: int = 2000) -> str:
    text = io.StringIO()
    Console(file=text, width=width, markup=False, emoji=False).print(plan_view(report))
    return text.getvalue()


@pytest.fixture(scope="module")
def measured() -> PlanReport:
    return prott5_plan(Assumptions(measured_rate=12_000.0))


def without_rate(report: PlanReport) -> PlanReport:
    """Return the plan of a model of which nobody knows the shape."""
    return report._replace(
        extraction=report.extraction._replace(
            block_weights=None, flops_total=None, gpu_hours=None, residues_per_s=None, reason="give --measured-rate"
        ),
        dollars=report.dollars._replace(extraction=None, once=None, online_per_run=None),
        scenarios=tuple(
            one._replace(dollars_once=None, online_per_run=None, break_even_runs=None, break_even_few_runs=None)
            for one in report.scenarios
        ),
        break_even_runs=None,
        break_even_reason="unknown: give --measured-rate",
    )


@pytest.mark.parametrize("width", [40, 80, 200])
def test_it_fits_the_width(width: int, measured: PlanReport) -> None:
    for report in (measured, without_rate(measured)):
        assert max(map(len, shown(report, width=width).splitlines())) <= width


def test_it_tells_sizes_in_every_encoding_and_at_every_fraction(measured: PlanReport) -> None:
    text = shown(measured)
    assert "12.7 TB as int8 (24,624 bytes a row)" in text
    assert "25.2 TB" in text
    line = next(line.split() for line in text.splitlines() if line.split()[:2] == ["0.1", "51.2"])
    assert line[3:] == ["2.5", "TB", "2.5", "TB", "1.3", "TB", "653.9", "GB"]


def test_it_tells_training_to_the_digit(measured: PlanReport) -> None:
    text = shown(measured)
    assert "403 M, 8,192 latents" in text
    assert "1.24e+18, 2.42 G a row forward and backward" in text
    assert "2.3 h, 250,000 steps of 2,048 rows" in text
    assert "3.1 GB/s in float16" in text
    assert "1.5 GB/s in int8" in text


def test_it_tells_when_the_store_pays_and_when_never(measured: PlanReport) -> None:
    assert "the store is cheaper from training run 79 on" in shown(measured)
    assert "never: reading the store costs $20.82 a run, running the model $6.81" in shown(prott5_plan())


def test_it_says_what_it_assumes(measured: PlanReport) -> None:
    text = shown(measured)
    assert "list price, check yours (2025-06)" in text
    assert "12,000 residues/s, as measured" in text
    assert "48% of the datasheet: 150 of 312 TFLOP/s" in text
    assert "expected, not read: 1,000,000 sequences" in text
    assert "48% of the datasheet: 150 of 312 TFLOP/s in bfloat16; --measured-rate" in shown(prott5_plan())


def test_what_is_not_known_is_said_to_be_unknown(measured: PlanReport) -> None:
    text = shown(without_rate(measured))
    assert "GPU-hours  unknown" in text
    assert "unknown: give --measured-rate" in text


def test_it_tells_what_auto_means(measured: PlanReport) -> None:
    assert "auto" not in shown(measured)
    auto = shown(prott5_plan(compressor="auto"))
    assert "auto: zstd or blosc if it saves 25% of the first task, else none; sizes are without" in auto


def test_what_is_skipped_is_counted(measured: PlanReport) -> None:
    assert "skipped: none" in shown(measured)
    skipped = measured._replace(skipped={"foreign letters": 12, "too short": 3})
    assert "12 foreign letters, 3 too short" in shown(skipped)
