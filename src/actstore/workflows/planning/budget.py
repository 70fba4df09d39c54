"""Estimate all costs from a recipe, its lengths and its model, with the arithmetic of `budget`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from actstore.budget.assumptions import Assumptions
from actstore.budget.breakeven import BreakEven, break_even
from actstore.budget.hardware import GPUS
from actstore.budget.trainers import TRAINERS, TrainerShape
from actstore.contracts.models import Site
from actstore.contracts.recipe import Recipe
from actstore.contracts.rules import RowRules
from actstore.errors import UsageError
from actstore.extract.known_models import needed_blocks
from actstore.extract.residues import expected_counts
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import StoreLayout
from actstore.store.plan.footprint import footprint, payload_bytes_per_row, read_row, writes
from actstore.store.plan.passes import model_passes
from actstore.view.plan_report import (
    PlannedAssumptions,
    PlannedDollars,
    PlannedExtraction,
    PlannedRequests,
    PlannedScenario,
    PlannedSplit,
    PlannedTrainer,
    PlanReport,
)
from actstore.workflows.planning.inputs import ModelSizes, PlannedCorpus, apportion
from actstore.workflows.planning.machines import planned_machines

__all__ = ["FRACTIONS", "plan_budget"]

FRACTIONS: Final = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Shown beside the fraction of the recipe."""

_SAME: Final = 1.25
"""Fractions closer than this factor to that of the recipe add nothing."""

_TRAINING_DTYPE: Final = "bfloat16"
_HOUR_S: Final = 3600.0
_GB: Final = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class _Calculation:
    """The calculation of one plan: a method for each figure of the report."""

    recipe: Recipe
    corpus: PlannedCorpus
    model: ModelSizes
    assume: Assumptions

    @property
    def layout(self) -> StoreLayout:
        """What decides which arrays the store would have."""
        return StoreLayout.of(self.model.sites, self.recipe.store)

    def extraction(self, rules: RowRules) -> PlannedExtraction:
        """Return the cost of running the model once for the rows of some rules at all sites."""
        return self._run(rules, self.model.sites)

    def _run(self, rules: RowRules, sites: Sequence[Site]) -> PlannedExtraction:
        """Return the cost of running the model once for the rows of some rules, up to the last of some sites."""
        passes = model_passes(
            self.corpus.lengths,
            rules,
            tokens_per_batch=self.recipe.model.tokens_per_batch,
            special_tokens=self.model.special_tokens,
        )
        residues, shape, rate = passes.run_residues, self.model.shape, self.assume.measured_rate
        weights = flops = None
        share = 1.0
        if shape is not None:
            blocks, measured = (needed_blocks(each, shape.blocks) for each in (sites, self.model.sites))
            share = blocks / measured if measured else 1.0  # a measured rate counts all sites
            weights = blocks * shape.block_weights
            flops = shape.forward_flops(tokens=passes.run_tokens, token_pairs=passes.run_token_pairs, blocks=blocks)
        if rate is not None:
            seconds: float | None = share * residues / rate
        else:
            seconds = None if flops is None else flops / self.assume.flops_per_s(self.recipe.model.dtype)
        return PlannedExtraction(
            residues=round(residues),
            repeated=passes.repeated,
            padding=passes.padding,
            block_weights=weights,
            flops_total=flops,
            gpu_hours=None if seconds is None else seconds / _HOUR_S,
            residues_per_s=residues / seconds if seconds else None,
            reason=self.model.reason if flops is None else None,
        )

    def trainer(self, rows: int) -> PlannedTrainer:
        """Return the cost of training once over all rows."""
        name, read = self._trainer_and_sites()
        width = read[0].width
        latents = self.assume.latents or self.assume.expansion * width
        kind = TRAINERS[name]
        shape = TrainerShape(len(read), width, latents, kind.vectors, kind.layered)
        flops_per_s = self.assume.flops_per_s(_TRAINING_DTYPE)
        rows_per_s = flops_per_s / shape.flops_per_row
        names = tuple(site.name for site in read)
        return PlannedTrainer(
            name=name,
            sites=names,
            latents=latents,
            batch_rows=self.assume.batch_rows,
            parameters=shape.parameters,
            flops_per_row=shape.flops_per_row,
            flops_total=float(rows * shape.flops_per_row),
            steps=-(-rows // self.assume.batch_rows),
            hours=rows / rows_per_s / _HOUR_S,
            rows_per_s=rows_per_s,
            read_bytes_per_s={
                encoding: rows_per_s * read_row(self.layout.encoded_as(encoding), names).payload_bytes
                for encoding in QUANTIZERS
            },
        )

    def scenarios(self, trainer: PlannedTrainer) -> tuple[PlannedScenario, ...]:
        """Return the recipe at all fractions, in all encodings."""
        own = self.recipe.rows.fraction
        others = {other for other in FRACTIONS if not own / _SAME < other < own * _SAME}
        fractions = sorted({*others, own}, reverse=True)
        whole = self._online_per_run(self._at(1.0), trainer)
        share = [rows for _, rows in self.corpus.splits.values()]
        scenarios: list[PlannedScenario] = []
        for fraction in fractions:
            rules = self._at(fraction)
            split_rows = share
            if fraction != own:
                mean_L = expected_counts(self.corpus.lengths.length_L, rules)
                split_rows = apportion(round(float((self.corpus.lengths.count_L * mean_L).sum())), share)
            extraction = self.run_dollars(self.extraction(rules))
            online = self._online_per_run(rules, trainer)
            few = None if whole is None else whole * sum(split_rows) / self.corpus.lengths.residues
            scenarios += [
                self._scenario(fraction, encoding, split_rows, extraction, online, few, trainer)
                for encoding in QUANTIZERS
            ]
        return tuple(scenarios)

    def assumptions(self) -> PlannedAssumptions:
        """Return what was assumed."""
        assume, prices = self.assume, self.assume.prices
        gpu = GPUS[assume.gpu]
        return PlannedAssumptions(
            gpu=assume.gpu,
            training_datasheet_tflops=gpu.tflops(_TRAINING_DTYPE),
            extraction_datasheet_tflops=gpu.tflops(self.recipe.model.dtype),
            utilisation=assume.utilisation,
            measured_rate=assume.measured_rate,
            chunks_per_get=assume.chunks_per_get,
            months=assume.months,
            prices=prices.name,
            prices_date=prices.date,
            dollars_per_gpu_hour=assume.gpu_hour,
            dollars_per_gb_month=prices.storage.dollars_per_gb_month,
            dollars_per_1000_put=prices.storage.dollars_per_1000_put,
            dollars_per_1000_get=prices.storage.dollars_per_1000_get,
            dollars_per_gb_egress=prices.storage.dollars_per_gb_egress,
        )

    def dollars(
        self, chosen: PlannedScenario, extraction: PlannedExtraction, trainer: PlannedTrainer
    ) -> PlannedDollars:
        """Return the prices of one scenario."""
        return PlannedDollars(
            extraction=self.run_dollars(extraction),
            put=self.put_dollars(chosen.put),
            storage=self.storage_dollars(chosen.bytes),
            once=chosen.dollars_once,
            read_per_run=chosen.dollars_per_run,
            online_per_run=chosen.online_per_run,
            training_per_run=trainer.hours * self.assume.gpu_hour,
        )

    def storage_dollars(self, size: int) -> float:
        """Return the price of keeping `size` bytes for all the months."""
        return size / _GB * self.assume.prices.storage.dollars_per_gb_month * self.assume.months

    def put_dollars(self, requests: int) -> float:
        """Return the price of that many writes."""
        return requests / 1000 * self.assume.prices.storage.dollars_per_1000_put

    def _scenario(
        self,
        fraction: float,
        encoding: str,
        split_rows: Sequence[int],
        extraction: float | None,
        online: float | None,
        few: float | None,
        trainer: PlannedTrainer,
    ) -> PlannedScenario:
        layout, prices = self.layout.encoded_as(encoding), self.assume.prices.storage
        made = footprint(split_rows, layout)
        row = read_row(layout, trainer.sites)
        put = writes(split_rows, layout)
        get_rows = layout.chunk_rows * min(self.assume.chunks_per_get, layout.task_rows // layout.chunk_rows)
        get = sum(_windows(rows, layout.task_rows, get_rows) for rows in split_rows) * row.arrays + made.tasks
        per_run = get / 1000 * prices.dollars_per_1000_get
        per_run += sum(split_rows) * row.bytes / _GB * prices.dollars_per_gb_egress
        once = None if extraction is None else extraction + self.put_dollars(put) + self.storage_dollars(made.bytes)
        same, fewer = (_compared(once, per_run, other, self.model.reason) for other in (online, few))
        return PlannedScenario(
            fraction=fraction,
            encoding=encoding,
            rows=sum(split_rows),
            tasks=made.tasks,
            objects=made.objects,
            bytes=made.bytes,
            put=put,
            get_per_run=get,
            dollars_once=once,
            dollars_per_run=per_run,
            online_per_run=online,
            break_even_runs=same.runs,
            break_even_reason=same.reason,
            break_even_few_runs=fewer.runs,
            break_even_few_reason=fewer.reason,
        )

    def _online_per_run(self, rules: RowRules, trainer: PlannedTrainer) -> float | None:
        """Return the price of running the model for one training run: up to the last site that is trained on."""
        return self.run_dollars(self._run(rules, [site for site in self.model.sites if site.name in trainer.sites]))

    def run_dollars(self, run: PlannedExtraction) -> float | None:
        """Return the price of running the model once; None if its duration is unknown."""
        return None if run.gpu_hours is None else run.gpu_hours * self.assume.gpu_hour

    def _at(self, fraction: float) -> RowRules:
        return replace(self.recipe.row_rules, fraction=fraction)

    def _trainer_and_sites(self) -> tuple[str, tuple[Site, ...]]:
        sites, name = self.model.sites, self.assume.trainer
        widths = {site.width for site in sites}
        if name is None:
            name = "crosscoder" if len(sites) > 1 and len(widths) == 1 and self.assume.site is None else "topk-sae"
        if not TRAINERS[name].one_site:
            if self.assume.site is not None:
                raise UsageError(f"--train-site is for sparse autoencoders: a {name} reads all sites of the recipe")
            if len(widths) > 1:
                shown = ", ".join(f"{site.name} {site.width}" for site in sites)
                raise UsageError(
                    f"--trainer {name} needs sites of one width ({shown}); plan a topk-sae with --train-site"
                )
            return name, sites
        chosen = [site for site in sites if site.name == (self.assume.site or sites[-1].name)]
        if not chosen:
            raise UsageError(
                f"--train-site {self.assume.site}: the recipe has {', '.join(site.name for site in sites)}; choose one"
            )
        return name, tuple(chosen)


def plan_budget(recipe: Recipe, corpus: PlannedCorpus, model: ModelSizes, assume: Assumptions) -> PlanReport:
    """Estimate size, time and cost of a recipe.

    Parameters
    ----------
    recipe
        What would be extracted.
    corpus
        Number of sequences of each length, and rows of each split.
    model
        Its sites and the shape of its blocks.
    assume
        Trainer, GPU and prices.

    Raises
    ------
    UsageError
        If the trainer does not fit the sites.
    """
    work = _Calculation(recipe, corpus, model, assume)
    store, split_rows = recipe.store, [rows for _, rows in corpus.splits.values()]
    rows = sum(split_rows)
    trainer = work.trainer(rows)
    scenarios = work.scenarios(trainer)
    own = {one.encoding: one for one in scenarios if one.fraction == recipe.rows.fraction}
    chosen, extraction = own[store.encoding], work.extraction(recipe.row_rules)
    return PlanReport(
        model=recipe.model.name,
        dtype=recipe.model.dtype,
        rows=rows,
        sequences=corpus.lengths.sequences,
        residues=corpus.lengths.residues,
        expected=corpus.expected,
        skipped=corpus.skipped,
        tasks=chosen.tasks,
        objects=chosen.objects,
        encoding=store.encoding,
        compressor=store.compressor,
        bytes_total=chosen.bytes,
        bytes_per_row=payload_bytes_per_row(work.layout),
        bytes={encoding: one.bytes for encoding, one in own.items()},
        sites={site.name: site.width for site in model.sites},
        splits={
            name: PlannedSplit(sequences, rows, -(-rows // store.task_rows))
            for name, (sequences, rows) in corpus.splits.items()
        },
        fraction=recipe.rows.fraction,
        requests=PlannedRequests(chosen.put, chosen.get_per_run),
        extraction=extraction,
        trainer=trainer,
        dollars=work.dollars(chosen, extraction, trainer),
        break_even_runs=chosen.break_even_runs,
        break_even_reason=chosen.break_even_reason,
        scenarios=scenarios,
        assumptions=work.assumptions(),
        machines=planned_machines(extraction, trainer, recipe.model.dtype, assume),
    )


def _windows(rows: int, task_rows: int, get_rows: int) -> int:
    """Return the number of reads for the rows of a split; no read crosses a task boundary."""
    tasks, rest = divmod(rows, task_rows)
    return tasks * -(-task_rows // get_rows) + -(-rest // get_rows)


def _compared(once: float | None, per_run: float, online: float | None, reason: str | None) -> BreakEven:
    if once is None or online is None:
        return BreakEven(None, f"unknown: {reason}")
    return break_even(store_once=once, store_per_run=per_run, online_per_run=online)
