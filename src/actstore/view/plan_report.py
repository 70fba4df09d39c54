"""What `actstore plan` reports, as plain named tuples: the same for Python, tables, the page and `--json`."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "PlanReport",
    "PlannedAssumptions",
    "PlannedDollars",
    "PlannedExtraction",
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
    """Residues that the model is given, overlaps of windows and windows on cuts between tasks included."""
    repeated: float
    """How many times a token is run on average, since a window on a cut between two tasks is run for both."""
    padding: float
    """Tokens of the padded batches over tokens of the windows."""
    block_weights: int | None
    """Weights of the matrices in the blocks that are run: a token costs 2 FLOP for each, and its attention."""
    flops_total: float | None
    """None where the shape of the model is unknown."""
    gpu_hours: float | None
    residues_per_s: float | None
    """Of one GPU: measured if so given, else from its datasheet."""
    reason: str | None
    """Why something is None."""


class PlannedTrainer(NamedTuple):
    """Training one dictionary once over all rows."""

    name: str
    sites: tuple[str, ...]
    """What it reads."""
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
    """Values and scales, by encoding: what keeps the GPU busy."""


class PlannedDollars(NamedTuple):
    """What it costs."""

    extraction: float | None
    put: float
    storage: float
    """For all the months."""
    once: float | None
    """Extraction, writing and keeping."""
    read_per_run: float
    """GET requests and egress of one training run."""
    online_per_run: float | None
    """Running the model over the same rows, in place of reading them."""
    training_per_run: float
    """The dictionary itself, which a store and an online run cost alike."""


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
    """The first number of training runs at which the store is cheaper than running the model online each time."""
    break_even_reason: str | None
    """Why there is none."""
    break_even_few_runs: int | None
    """The same where the online runs take as many rows from few sequences: every residue of as many as are needed."""
    break_even_few_reason: str | None


class PlannedAssumptions(NamedTuple):
    """What the plan assumes beyond the recipe."""

    gpu: str
    training_datasheet_tflops: float
    """bfloat16, dense."""
    extraction_datasheet_tflops: float
    """In the number format of the recipe."""
    utilisation: float
    measured_rate: float | None
    """Residues a second, in place of datasheet and utilisation of the extraction."""
    chunks_per_get: int
    months: float
    prices: str
    prices_date: str
    dollars_per_gpu_hour: float
    dollars_per_gb_month: float
    dollars_per_1000_put: float
    dollars_per_1000_get: float
    dollars_per_gb_egress: float


class PlanReport(NamedTuple):
    """What a recipe will come to."""

    model: str
    dtype: str
    rows: int
    sequences: int
    residues: int
    expected: bool
    """Whether lengths are the recipe's expectation; then rows are the mean over all draws."""
    skipped: dict[str, int]
    tasks: int
    objects: int
    """Objects that commits will name; there is one commit for each task besides."""
    encoding: str
    compressor: str
    """As the recipe has it; `auto` is decided on the first task, when the store is begun."""
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
    """After how many training runs the store is cheaper than running the model online each time."""
    break_even_reason: str | None
    """Why it never is."""
    scenarios: tuple[PlannedScenario, ...]
    """Other fractions and encodings, the recipe's own among them."""
    assumptions: PlannedAssumptions
