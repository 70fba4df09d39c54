"""The budget of real recipes, to the digit; formulas that other rooms own are tested there."""

from pathlib import Path
from typing import Any

import pytest

from actstore.budget.assumptions import Assumptions
from actstore.errors import UsageError
from actstore.view.plan_report import PlannedScenario, PlanReport
from actstore.workflows.plan import plan_store
from actstore.workflows.planning.budget import FRACTIONS
from actstore.workflows.planning.inputs import apportion
from actstore.workflows.recipes import read_recipe

MANIFESTS = Path(__file__).resolve().parents[4] / "manifests"
PROTT5 = "prott5-xl-uniref50-all24"


def plan(name: str, options: dict[str, Any] | None = None, **assumptions: Any) -> PlanReport:
    recipe = read_recipe(MANIFESTS / f"{name}.toml", options=options)
    return plan_store(recipe, assumptions=Assumptions(**assumptions))


def scenario(report: PlanReport, fraction: float, encoding: str) -> PlannedScenario:
    return next(one for one in report.scenarios if (one.fraction, one.encoding) == (fraction, encoding))


@pytest.fixture(scope="module")
def report() -> PlanReport:
    return plan(PROTT5, trainer="crosscoder")


class TestTheCrosscoderOverProtT5:
    """24 sites x 1,024, F = 8 x 1,024, 512 M rows, one A100."""

    def test_has_512_million_rows_of_49152_bytes(self, report: PlanReport) -> None:
        assert report.rows == 512_000_000
        assert len(report.sites) == 24
        assert plan(PROTT5, {"store.encoding": "float16"}).bytes_per_row == 49_152
        assert f"{512e6 * 49_152 / 1e12:.1f}" == f"{report.bytes['float16'] / 1e12:.1f}" == "25.2"

    def test_has_403_million_parameters(self, report: PlanReport) -> None:
        assert f"{report.trainer.parameters / 1e6:.0f}" == "403"

    def test_takes_2_4_gflop_a_row_and_1_24e18_in_all(self, report: PlanReport) -> None:
        assert f"{report.trainer.flops_per_row / 1e9:.1f}" == "2.4"
        assert f"{report.trainer.flops_total:.2e}" == "1.24e+18"

    def test_trains_in_2_3_hours_at_62_thousand_rows_a_second(self, report: PlanReport) -> None:
        assert f"{report.assumptions.utilisation * report.assumptions.training_datasheet_tflops:.1f}" == "150.0"
        assert f"{report.trainer.hours:.1f}" == "2.3"
        assert f"{report.trainer.rows_per_s / 1e3:.0f}" == "62"

    def test_must_read_3_1_gigabytes_a_second_or_half_of_it_in_int8(self, report: PlanReport) -> None:
        assert f"{report.trainer.read_bytes_per_s['float16'] / 1e9:.1f}" == "3.1"
        assert f"{report.trainer.read_bytes_per_s['int8'] / 1e9:.1f}" == "1.5"

    def test_runs_the_encoder_over_every_residue_and_its_end_tokens(self, report: PlanReport) -> None:
        weights = 24 * (4 * 1024 * 4096 + 2 * 1024 * 16_384)
        tokens, pairs = 1_000_000 * 513, 1_000_000 * 513**2
        assert report.extraction.block_weights == weights
        assert report.extraction.flops_total == pytest.approx(2 * weights * tokens + 24 * 4 * 4096 * pairs)
        assert report.extraction.residues == 512_000_000

    def test_the_published_rate_gives_the_published_hours(self) -> None:
        """133 GPU-hours at 12,000 residues/s are the 5.7 G residues of a corpus eleven times as large."""
        hours = plan(PROTT5, measured_rate=12_000.0).extraction.gpu_hours
        assert hours is not None
        assert hours == pytest.approx(512e6 / 12_000 / 3600)
        assert hours * 5.7456e9 / 512e6 == pytest.approx(133, abs=0.1)


class TestESM2With3BParameters:
    def test_has_2_5_billion_rows_at_two_sites_of_2560(self) -> None:
        report = plan("esm2-3b-uniref50")
        assert f"{report.rows / 1e9:.1f}" == "2.5"
        assert report.sequences == 10_000_000
        assert report.sites == {"resid_post.17": 2560, "final_norm": 2560}

    def test_a_site_half_way_needs_half_of_the_blocks(self) -> None:
        half, whole = (
            plan("esm2-3b-uniref50", {"sites": [site]}).extraction.flops_total or 0.0
            for site in ("resid_post.17", "resid_post.35")
        )
        assert half == pytest.approx(whole / 2) != 0


class TestDollars:
    def test_a_store_costs_its_extraction_its_requests_and_its_space(self) -> None:
        report = plan(PROTT5, months=2.0)
        prices = Assumptions().prices
        hours = report.extraction.gpu_hours
        assert hours is not None
        extraction = report.dollars.extraction
        assert extraction is not None
        assert extraction == pytest.approx(hours * 2.74)
        assert report.dollars.storage == pytest.approx(2 * 0.023 * report.bytes["int8"] / 1e9)
        assert report.dollars.put == pytest.approx(0.005 * report.requests.put / 1000)
        assert report.dollars.once == pytest.approx(extraction + report.dollars.storage + report.dollars.put)
        assert report.dollars.training_per_run == pytest.approx(report.trainer.hours * prices.gpu_hour("A100"))

    def test_each_chunk_of_each_array_is_a_request(self) -> None:
        report = plan(PROTT5)
        arrays = 24 + 1 + 1  # values, scales, and whose rows they are
        assert report.requests.get_per_run == 512_000_000 // 256 * arrays + report.tasks
        fewer = plan(PROTT5, chunks_per_get=16).requests.get_per_run
        assert fewer == 512_000_000 // 4096 * arrays + report.tasks
        # No request reaches beyond its shard of 8,192 rows.
        assert plan(PROTT5, chunks_per_get=1000).requests.get_per_run == 512_000_000 // 8192 * arrays + report.tasks

    @pytest.mark.parametrize("measured_rate", [None, 12_000.0])
    def test_online_runs_the_blocks_up_to_the_site_that_is_trained_on(self, measured_rate: float | None) -> None:
        first, last, every = (
            plan(PROTT5, trainer=trainer, site=site, measured_rate=measured_rate).dollars
            for trainer, site in (("topk-sae", "resid_post.0"), ("topk-sae", "resid_post.23"), ("crosscoder", None))
        )
        assert first.extraction == last.extraction == last.online_per_run == every.online_per_run
        assert first.online_per_run == pytest.approx((last.online_per_run or 0.0) / 24, rel=1e-6)

    def test_egress_is_paid_for_what_the_trainer_reads(self) -> None:
        prices = Assumptions().prices
        far = prices.model_copy(update={"storage": prices.storage.model_copy(update={"dollars_per_gb_egress": 0.09})})
        near, away = (plan(PROTT5, trainer="topk-sae", prices=one).dollars.read_per_run for one in (prices, far))
        assert away - near == pytest.approx(0.09 * 512e6 * (1024 + 2 * 24 + 8) / 1e9)


class TestTheBreakEven:
    def test_a_sample_pays_after_a_few_runs_where_the_whole_takes_many(self) -> None:
        report = plan(PROTT5, measured_rate=12_000.0)
        runs = [scenario(report, fraction, "int8").break_even_runs for fraction in (1.0, 0.3, 0.1)]
        assert runs == [79, 12, 4]
        assert report.break_even_runs == 79

    def test_never_is_said_with_its_reason(self) -> None:
        report = plan(PROTT5)
        assert report.break_even_runs is None
        assert report.break_even_reason is not None
        assert "never: reading the store costs $20.82 a run" in report.break_even_reason

    def test_against_few_sequences_it_takes_longer(self) -> None:
        report = plan(PROTT5, measured_rate=12_000.0)
        whole, tenth = (scenario(report, fraction, "int8") for fraction in (1.0, 0.1))
        assert whole.break_even_few_runs == whole.break_even_runs
        assert tenth.break_even_few_runs is not None
        assert tenth.break_even_runs is not None
        assert tenth.break_even_few_runs > 10 * tenth.break_even_runs

    def test_a_free_store_pays_at_once(self) -> None:
        free = Assumptions().prices
        storage = free.storage.model_copy(
            update={"dollars_per_gb_month": 0.0, "dollars_per_1000_get": 0.0, "dollars_per_1000_put": 0.0}
        )
        # Not at the first run, which the extraction costs as much as.
        assert plan(PROTT5, prices=free.model_copy(update={"storage": storage})).break_even_runs == 2


class TestScenarios:
    def test_hold_every_fraction_and_the_recipes_own(self) -> None:
        report = plan(f"{PROTT5}-sample", {"rows.fraction": 0.07})
        assert [one.fraction for one in report.scenarios][::4] == sorted({*FRACTIONS, 0.07}, reverse=True)
        own = scenario(report, 0.07, "int8")
        assert (own.rows, own.bytes, own.break_even_runs) == (report.rows, report.bytes_total, report.break_even_runs)

    def test_leave_out_what_is_next_to_the_recipes_own(self) -> None:
        report = plan(f"{PROTT5}-sample", {"rows.fraction": 0.03125})
        assert [one.fraction for one in report.scenarios][::4] == [1.0, 0.3, 0.1, 0.03125, 0.01]

    def test_of_a_sample_say_what_a_plan_of_each_says(self) -> None:
        sampled, tenth = plan(PROTT5), plan(f"{PROTT5}-sample")
        assert scenario(sampled, 0.1, "int4") == scenario(tenth, 0.1, "int4")
        assert sampled.scenarios == tenth.scenarios


class TestWhichTrainer:
    def test_is_a_crosscoder_of_several_sites_and_an_autoencoder_of_one(self) -> None:
        assert plan(PROTT5).trainer.name == "crosscoder"
        one = plan(PROTT5, {"sites": ["resid_post.3"]}).trainer
        assert (one.name, one.sites, one.latents) == ("topk-sae", ("resid_post.3",), 8192)

    def test_an_autoencoder_reads_the_site_that_was_named(self) -> None:
        trainer = plan(PROTT5, trainer="relu-sae", site="resid_post.5", latents=4096).trainer
        assert (trainer.sites, trainer.parameters) == (("resid_post.5",), 2 * 1024 * 4096 + 4096 + 1024)
        assert trainer.read_bytes_per_s["float16"] == pytest.approx(trainer.rows_per_s * 2048)

    @pytest.mark.parametrize(
        ("assumptions", "message"),
        [
            (
                {"trainer": "topk-sae", "site": "resid_post.24"},
                "--train-site resid_post.24: the recipe has resid_post.0",
            ),
            ({"trainer": "crosscoder-l1", "site": "resid_post.1"}, "--train-site is for sparse autoencoders"),
        ],
    )
    def test_a_site_that_does_not_fit_is_refused(self, assumptions: dict[str, Any], message: str) -> None:
        with pytest.raises(UsageError, match=message):
            plan(PROTT5, **assumptions)


def test_float32_models_are_planned_at_the_rate_of_float32() -> None:
    slow, fast = (
        plan("esm2-8m-uniref50", {"model.dtype": dtype}).extraction.gpu_hours or 0.0
        for dtype in ("float32", "bfloat16")
    )
    assert slow == pytest.approx(16 * fast) != 0


@pytest.mark.parametrize(("total", "shares"), [(10, [1, 1, 1]), (0, [0.9, 0.1]), (7, [0.98, 0.01, 0.01]), (5, [0, 3])])
def test_nothing_is_lost_when_rows_are_divided(total: int, shares: list[float]) -> None:
    parts = apportion(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share / sum(shares)) < 1 for part, share in zip(parts, shares, strict=True))
