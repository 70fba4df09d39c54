import pytest

from actstore.budget.assumptions import Assumptions
from actstore.view.plan_report import PlannedMachine, PlanReport
from actstore.workflows.planning.machines import THIS_MACHINE, measured_flops_per_s, planned_machines
from tests.actstore.view.plans import prott5_plan


def machines(report: PlanReport, assume: Assumptions) -> dict[str, PlannedMachine]:
    rows = planned_machines(report.extraction, report.trainer, report.dtype, assume)
    return {one.name: one for one in rows}


def test_the_machine_of_the_plan_has_the_hours_of_the_plan() -> None:
    for assume in (Assumptions(), Assumptions(gpu="L4"), Assumptions(measured_rate=12_000.0)):
        report = prott5_plan(assume)
        own = machines(report, assume)[assume.gpu]
        assert own.extraction_hours == report.extraction.gpu_hours
        assert own.extraction_dollars == pytest.approx(report.dollars.extraction)
        assert own.training_hours == pytest.approx(report.trainer.hours)


def test_this_machine_is_taken_at_its_measured_rate_and_has_no_price() -> None:
    report = prott5_plan()
    assert THIS_MACHINE not in machines(report, Assumptions())
    own = machines(report, Assumptions(machine_flops_per_s=1e12))[THIS_MACHINE]
    assert own.extraction_hours == pytest.approx((report.extraction.flops_total or 0.0) / 1e12 / 3600)
    assert own.training_hours == pytest.approx(report.trainer.flops_total / 1e12 / 3600)
    assert own.extraction_dollars is None


def test_a_model_of_unknown_shape_has_no_hours() -> None:
    report = prott5_plan()
    unknown = report.extraction._replace(flops_total=None, gpu_hours=None)
    rows = planned_machines(unknown, report.trainer, report.dtype, Assumptions(machine_flops_per_s=1e12))
    assert {one.extraction_hours for one in rows} == {None}


def test_the_rate_of_this_machine_is_that_of_some_processor() -> None:
    assert 1e8 < measured_flops_per_s() < 1e14
