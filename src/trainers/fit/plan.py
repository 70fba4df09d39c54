"""Settle every number of a run before anything is computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from actstore import errors
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.config import MOST_LATENTS, DictionaryName, Normalisation, Precision, TrainConfig
from trainers.fit.source import BatchSource

__all__ = [
    "StreamFacts",
    "StreamingPlan",
    "TrainPlan",
    "default_dead_after_rows",
    "default_encoder_rate",
    "default_lr",
    "plan_streaming",
    "plan_training",
]

MOST_DEAD_AFTER_ROWS: Final = 10_000_000  # Gao et al. 2024, section 2.4: no activation for 10 M tokens
DEAD_AFTER_FIRINGS: Final = 320  # docs/decisions/0023-objective-and-defaults.md
LEAST_DEAD_AFTER_BATCHES: Final = 10
"""So that a latent is not called dead, and taught as one, because it is rare."""
MAX_WARMUP_STEPS: Final = 1_000
MOST_ENCODER_RATE: Final = 1 / 4  # docs/decisions/0023-objective-and-defaults.md
LEAST_ENCODER_RATE: Final = 1 / 16
SHORT_STEPS: Final = 1_000
"""Steps up to which the encoder has its highest rate."""
DEFAULT_K: Final = 32
_MOST_SITES: Final = 1024
_MOST_WIDTH: Final = 1 << 20
_MOST: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """Facts of a stream that planning needs."""

    sites: tuple[str, ...]
    width: int
    rows: int
    batch_rows: int
    batches_per_epoch: int

    @classmethod
    def of(cls, source: BatchSource) -> Self:
        """Read the facts of a stream."""
        return cls(
            sites=source.sites,
            width=source.width,
            rows=source.rows,
            batch_rows=source.batch_rows,
            batches_per_epoch=source.batches_per_epoch,
        )

    def rows_of(self, batches: int) -> int:
        """Return the rows of the first `batches` batches, short last batches of epochs included."""
        epochs, rest = divmod(batches, self.batches_per_epoch)
        return epochs * self.rows + min(rest * self.batch_rows, self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingPlan:
    """The batches to read if nothing is trained."""

    sites: tuple[str, ...]
    split: str
    batch_rows: int
    batches: int
    rows: int
    """Rows that `batches` hold, short last batches of epochs included."""
    order: Literal["windows", "uniform"]


class TrainPlan(BaseModel):
    """Everything that decides the result of a run, in numbers.

    Two runs with equal plans and stores end in equal weights, to the bit if machine and number of threads are equal
    too. Each checkpoint holds the plan, and resumes only under an equal plan.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    dictionary: DictionaryName
    sites: tuple[str, ...] = Field(min_length=1, max_length=_MOST_SITES)
    width: int = Field(ge=1, le=_MOST_WIDTH)
    latents: int = Field(ge=1, le=MOST_LATENTS)
    kept: int | None = Field(ge=1, le=MOST_LATENTS)
    options: dict[str, Any] = Field(default_factory=dict)
    """Settings that only this dictionary has: `Dictionary.options`."""
    sparsity: float | None = Field(ge=0)
    lr: float = Field(gt=0)
    encoder_rate: float = Field(default=MOST_ENCODER_RATE, gt=0)
    """Learning rate of the encoder beside that of the decoder."""
    steps: int = Field(ge=1, le=_MOST)
    batch_rows: int = Field(ge=1, le=_MOST)
    rows: int = Field(ge=0, le=_MOST)
    """Rows that `steps` batches hold, short last batches of epochs included: the horizon of the schedule."""
    seed: int = Field(ge=0)
    order: Literal["windows", "uniform"]
    split: str
    normalisation: Normalisation
    warmup_rows: int = Field(ge=0, le=_MOST)
    """Rows in which the learning rate rises."""
    decay_rows: int = Field(ge=0, le=_MOST)
    """Rows, at the end, in which it falls."""
    sparsity_warmup_rows: int = Field(ge=0, le=_MOST)
    """Rows in which the penalty rises."""
    precision: Precision = "float32"
    gradient_clip: float = Field(gt=0)
    auxk_weight: float = Field(ge=0)
    auxk_latents: int = Field(ge=1, le=MOST_LATENTS)
    dead_after_rows: int = Field(ge=1, le=_MOST)
    restart_rows: int = Field(default=0, ge=0, le=_MOST)
    """Rows after which the run was made longer or shorter; 0 if it was not."""
    restart_factor: float = Field(default=1.0, ge=0.0, le=1.0)
    """Factor of the learning rate there; from there it rises again to 1."""

    @property
    def shape(self) -> Shape:
        """Sizes of the dictionary."""
        return Shape(len(self.sites), self.width, self.latents, self.kept)

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the sites that are reconstructed."""
        return self.sites

    def build(self) -> Dictionary:
        """Return the dictionary, with weights of zero.

        Raises
        ------
        ValueError
            If shape and options contradict the dictionary.
        """
        return DICTIONARIES[self.dictionary](self.shape, **self.options)


def plan_streaming(config: TrainConfig, stream: StreamFacts) -> StreamingPlan:
    """Settle what to read if nothing is trained. Fields of `config` that concern a dictionary do not count."""
    batches = _batches(config, stream)
    return StreamingPlan(
        sites=stream.sites,
        split=config.split,
        batch_rows=stream.batch_rows,
        batches=batches,
        rows=stream.rows_of(batches),
        order=config.order,
    )


def plan_training(config: TrainConfig, stream: StreamFacts) -> TrainPlan:
    """Settle every number of a run.

    Raises
    ------
    UsageError
        If the dictionary does not fit the sites, or options contradict each other.
    """
    kind = DICTIONARIES[config.dictionary]
    if kind.one_site and len(stream.sites) != 1:
        raise errors.UsageError(
            f"{config.dictionary} reads one site, not {len(stream.sites)}; "
            f"choose one with --site: {', '.join(stream.sites)} (or take a crosscoder)"
        )
    latents = config.expansion * stream.width if config.latents is None else config.latents
    if latents > MOST_LATENTS:
        raise errors.UsageError(
            f"{latents:,} latents (expansion {config.expansion:,} times {stream.width:,} features); at most "
            f"{MOST_LATENTS:,} can be trained, so lower --latents or --expansion"
        )
    kept = _kept(kind, config, latents=latents)
    if stream.rows == 0:
        raise errors.UsageError(f"split {config.split!r} has no rows to train on; choose another with --split")
    steps = _batches(config, stream)
    rows = stream.rows_of(steps)
    return TrainPlan(
        dictionary=config.dictionary,
        sites=stream.sites,
        width=stream.width,
        latents=latents,
        kept=kept,
        options=_options(kind, config),
        sparsity=kind.default_sparsity if config.sparsity is None else config.sparsity,
        lr=default_lr(latents) if config.lr is None else config.lr,
        encoder_rate=config.encoder_rate or default_encoder_rate(steps),
        steps=steps,
        batch_rows=stream.batch_rows,
        rows=rows,
        seed=config.seed,
        order=config.order,
        split=config.split,
        normalisation=config.normalisation,
        warmup_rows=min(MAX_WARMUP_STEPS * stream.batch_rows, round(config.warmup_share * rows)),
        decay_rows=round(config.decay_share * rows),
        sparsity_warmup_rows=round(config.sparsity_warmup_share * rows),
        precision=config.precision,
        gradient_clip=config.gradient_clip,
        auxk_weight=config.auxk_weight if kind.keeps_k else 0.0,
        auxk_latents=config.auxk_latents or max(1, stream.width // 2),
        dead_after_rows=config.dead_after_rows
        or default_dead_after_rows(latents, kept or DEFAULT_K, batch_rows=stream.batch_rows),
    )


def default_lr(latents: int) -> float:
    """Return ``5e-3 * sqrt(1024 / F)``.

    The inverse square root of the dictionary size is the scaling of Gao et al. 2024 (section A.3); the factor is
    measured in docs/decisions/0023-objective-and-defaults.md.

    Examples
    --------
    >>> default_lr(4096)
    0.0025
    """
    return 5e-3 * math.sqrt(1024 / latents)


def default_encoder_rate(steps: int) -> float:
    """Return the rate of the encoder beside that of the decoder: a quarter up to 1,000 steps, a sixteenth from 16,000 on.

    Between them it falls with the square root of the steps. Steps of the encoder change which latents fire, and the
    more of them there are, the more latents they leave dead.

    Examples
    --------
    >>> default_encoder_rate(1_000), default_encoder_rate(100_000)
    (0.25, 0.0625)
    """
    return min(MOST_ENCODER_RATE, max(LEAST_ENCODER_RATE, MOST_ENCODER_RATE * math.sqrt(SHORT_STEPS / steps)))


def default_dead_after_rows(latents: int, kept: int, *, batch_rows: int) -> int:
    """Return ``320 F / K``, at least 10 batches and at most 10 M rows.

    In so many rows a latent fires 320 times if all are used alike.

    Examples
    --------
    >>> default_dead_after_rows(8192, 32, batch_rows=2048)
    81920
    """
    wanted = math.ceil(DEAD_AFTER_FIRINGS * latents / kept)
    return min(MOST_DEAD_AFTER_ROWS, max(LEAST_DEAD_AFTER_BATCHES * batch_rows, wanted))


def _options(kind: type[Dictionary], config: TrainConfig) -> dict[str, Any]:
    """Return the settings that only this dictionary has; refuse those of others."""
    given = config.given_options()
    if others := given.keys() - kind.options.keys():
        takes = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(kind.options)) or "none of its kind"
        raise errors.UsageError(
            f"{config.dictionary} has no --{min(others).replace('_', '-')}; options of its own: {takes}"
        )
    return {**kind.options, **given}


def _batches(config: TrainConfig, stream: StreamFacts) -> int:
    return stream.batches_per_epoch if config.steps is None else config.steps


def _kept(kind: type[Dictionary], config: TrainConfig, *, latents: int) -> int | None:
    if not kind.keeps_k:
        if config.k is not None:
            raise errors.UsageError(f"{config.dictionary} keeps no fixed number of latents; set --sparsity, not --k")
        return None
    if config.sparsity is not None:
        raise errors.UsageError(f"{config.dictionary} has no sparsity coefficient; its sparsity is set by --k")
    kept = DEFAULT_K if config.k is None else config.k
    if kept > latents:
        raise errors.UsageError(f"k = {kept} of only {latents} latents; lower --k or raise --latents")
    return kept
