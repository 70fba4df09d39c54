"""Reports of `actstore plan` as plain named tuples: the same for Python, tables, the page and `--json`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "PlanReport",
    "PlannedAssumptions",
    "PlannedDollars",
    "PlannedExtraction",
    "PlannedMachine",
    "PlannedRequests",
    "PlannedScenario",
    "PlannedSplit",
    "PlannedTrainer",
]


class PlannedSplit(NamedTuple):
    """One split."""

    sequences: int
    rows: int
    tasks: int


class PlannedRequests(NamedTuple):
    """Requests to an object store."""

    put: int
    """Objects and commits, and the metadata of the store."""
    get_per_run: int
    """One for each chunk (or as many as are read at once) of each array that the trainer reads, and for each commit."""


class PlannedExtraction(NamedTuple):
    """Running the model once."""

    residues: int
    """Residues that the model reads, with overlaps of windows and windows on borders between tasks."""
    repeated: float
    """Mean number of runs of a token; a window on the border between two tasks runs for both."""
    padding: float
    """Tokens of the padded batches divided by tokens of the windows."""
    block_weights: int | None
    """Weights of the matrices in the blocks that run: a token costs 2 FLOP for each, plus attention."""
    flops_total: float | None
    """None if the shape of the model is unknown."""
    gpu_hours: float | None
    residues_per_s: float | None
    """Rate of one GPU: measured if given, else from its datasheet."""
    reason: str | None
    """Reason for values that are None."""


class PlannedTrainer(NamedTuple):
    """Training one dictionary once over all rows."""

    name: str
    sites: tuple[str, ...]
    """Sites that it reads."""
    latents: int
    batch_rows: int
    parameters: int
    flops_per_row: int
    """Forward and backward: 6 for each parameter."""
    flops_total: float
    steps: int
    hours: float
    """On one GPU."""
    rows_per_s: float
    read_bytes_per_s: dict[str, float]
    """Bandwidth of values and scales that keeps the GPU busy, by encoding."""


class PlannedDollars(NamedTuple):
    """Costs in dollars."""

    extraction: float | None
    put: float
    storage: float
    """Storage for all months."""
    once: float | None
    """Extraction, writing and keeping."""
    read_per_run: float
    """GET requests and egress of one training run."""
    online_per_run: float | None
    """Running the model over the same rows instead of reading them."""
    training_per_run: float
    """Training the dictionary itself, the same with a store and online."""


class PlannedScenario(NamedTuple):
    """The same recipe at one fraction, in one encoding."""

    fraction: float
    encoding: str
    rows: int
    tasks: int
    objects: int
    bytes: int
    put: int
    get_per_run: int
    dollars_once: float | None
    dollars_per_run: float
    """Reading the store once."""
    online_per_run: float | None
    """Running the model over the same rows once."""
    break_even_runs: int | None
    """The first training run from which on the store is cheaper than running the model in each run."""
    break_even_reason: str | None
    """Why there is none."""
    break_even_few_runs: int | None
    """The same, if online runs take as many rows from few sequences, with every residue of these."""
    break_even_few_reason: str | None


class PlannedAssumptions(NamedTuple):
    """Assumptions of the plan that are not in the recipe."""

    gpu: str
    training_datasheet_tflops: float
    """bfloat16, dense."""
    extraction_datasheet_tflops: float
    """In the number format of the recipe."""
    utilisation: float
    measured_rate: float | None
    """Measured residues/s; replaces datasheet rate and utilisation of the extraction."""
    chunks_per_get: int
    months: float
    prices: str
    prices_date: str
    dollars_per_gpu_hour: float
    dollars_per_gb_month: float
    dollars_per_1000_put: float
    dollars_per_1000_get: float
    dollars_per_gb_egress: float


class PlannedMachine(NamedTuple):
    """The same work on one GPU of each kind, on a CPU, and on this machine."""

    name: str
    tflops: float
    """Assumed or measured rate of the extraction."""
    extraction_hours: float | None
    """None if the shape of the model is unknown."""
    training_hours: float
    extraction_dollars: float | None
    """None if that is unknown, or the price list has no such machine."""


class PlanReport(NamedTuple):
    """Size, time and cost of a recipe."""

    model: str
    dtype: str
    rows: int
    sequences: int
    residues: int
    expected: bool
    """Whether the recipe states expected lengths; rows are then the mean over all draws."""
    skipped: dict[str, int]
    tasks: int
    objects: int
    """Objects that commits will name; each task also has one commit."""
    encoding: str
    compressor: str
    """Compressor of the recipe; `auto` is decided on the first task, when the store is begun."""
    bytes_total: int
    """Bytes of those objects in the recipe's encoding, before any compression."""
    bytes_per_row: int
    """Bytes of the values and scales of one row."""
    bytes: dict[str, int]
    """The same total for every encoding."""
    sites: dict[str, int]
    """Width of each site."""
    splits: dict[str, PlannedSplit]
    fraction: float
    requests: PlannedRequests
    extraction: PlannedExtraction
    trainer: PlannedTrainer
    dollars: PlannedDollars
    break_even_runs: int | None
    """The first training run from which on the store is cheaper than running the model in each run."""
    break_even_reason: str | None
    """Why the store is never cheaper."""
    scenarios: tuple[PlannedScenario, ...]
    """Other fractions and encodings, with those of the recipe."""
    assumptions: PlannedAssumptions
    machines: tuple[PlannedMachine, ...]
    """Every machine of the table, and this machine if it was measured."""
