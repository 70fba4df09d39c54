"""Settle every number of a run before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from actstore import errors
from trainers.dictionaries.dictionary import Dictionary, Shape
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.config import MOST_LATENTS, BiasStart, DictionaryName, Normalisation, Precision, TrainConfig
from trainers.fit.defaults import (
    DEFAULT_K,
    MAX_WARMUP_STEPS,
    MOST_ENCODER_RATE,
    default_dead_after_rows,
    default_encoder_rate,
    default_lr,
)
from trainers.fit.read_and_written import read_and_written
from trainers.fit.rows.transform import transform_of
from trainers.fit.source import BatchSource
from trainers.fit.terms.labels import LabelFacts

__all__ = [
    "StreamFacts",
    "StreamingPlan",
    "TrainPlan",
    "plan_streaming",
    "plan_training",
]

_OF_ROWS: Final = (
    "normalisation",
    "max_norm_quantile",
    "b_dec_start",
    "decorrelation_weight",
    "smoothness_weight",
    "probe_weight",
)
"""Fields of the configuration that are those of the plan."""
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
    """All sites of a batch, in its order."""
    reads: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=_MOST_SITES)
    """Those that are encoded, in the order of the dictionary; None for all."""
    writes: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=_MOST_SITES)
    """Those that are reconstructed; None for all."""
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
    order_seed: int | None = Field(default=None, ge=0)
    """Seeds the order of rows; None if that is `seed`."""
    order: Literal["windows", "uniform"]
    split: str
    normalisation: Normalisation
    max_norm_quantile: float | None = Field(default=None, gt=0, lt=1)
    b_dec_start: BiasStart = "mean"
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
    decorrelation_weight: float = Field(default=0.0, ge=0)
    smoothness_weight: float = Field(default=0.0, ge=0)
    probe_weight: float = Field(default=0.0, ge=0)
    labels: LabelFacts | None = None
    """Which labels the probe reads; None without a probe."""
    dead_after_rows: int = Field(ge=1, le=_MOST)
    restart_rows: int = Field(default=0, ge=0, le=_MOST)
    """Rows after which the run was made longer or shorter; 0 if it was not."""
    restart_factor: float = Field(default=1.0, ge=0.0, le=1.0)
    """Factor of the learning rate there; from there it rises again to 1."""

    @property
    def shape(self) -> Shape:
        """Sizes of the dictionary."""
        return _shape(self.sites, self.reads, self.writes, self.width, self.latents, self.kept)

    @property
    def read(self) -> tuple[str, ...]:
        """Names of the sites that are encoded."""
        return self.sites if self.reads is None else self.reads

    @property
    def written(self) -> tuple[str, ...]:
        """Names of the sites that are reconstructed."""
        return self.sites if self.writes is None else self.writes

    @property
    def latents_each(self) -> int:
        """Latents as `TrainConfig` counts them: of each layer, if each has its own."""
        return self.latents // self._layers

    @property
    def kept_each(self) -> int | None:
        """K as `TrainConfig` counts it: of each layer, if each has latents of its own."""
        return None if self.kept is None else self.kept // self._layers

    @property
    def _layers(self) -> int:
        return len(self.read) if DICTIONARIES[self.dictionary].each_site_has_latents else 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if unknown := {*self.read, *self.written} - {*self.sites}:
            raise ValueError(f"{min(unknown)} is read or written, and no site of a batch")
        return self

    def build(self) -> Dictionary:
        """Return the dictionary, with weights of zero.

        Raises
        ------
        ValueError
            If shape and options contradict the dictionary.
        """
        dictionary = DICTIONARIES[self.dictionary](self.shape, **self.options)
        dictionary.keep_code = bool(self.smoothness_weight or self.probe_weight)
        return dictionary


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


def plan_training(config: TrainConfig, stream: StreamFacts, labels: LabelFacts | None = None) -> TrainPlan:
    """Settle every number of a run.

    Parameters
    ----------
    labels
        What `config.labels` holds; None without labels.

    Raises
    ------
    UsageError
        If the dictionary does not fit the sites, or options contradict each other.
    """
    kind = DICTIONARIES[config.dictionary]
    read, written = read_and_written(kind, config, stream.sites)
    layers = len(read) if kind.each_site_has_latents else 1
    latents = layers * _latents(config, stream)
    if latents > MOST_LATENTS:
        raise errors.UsageError(f"{latents:,} latents in {layers} layers; at most {MOST_LATENTS:,} can be trained")
    kept, options = _kept(kind, config, latents=latents // layers), _options(kind, config)
    kept = None if kept is None else layers * kept
    reads, writes = (None if names == stream.sites else names for names in (read, written))
    shape = _shape(stream.sites, reads, writes, stream.width, latents, kept)
    _check(config.dictionary, shape, options, layers=layers)
    of_rows = _of_rows(config, labels, same_rows=read == written)
    if stream.rows == 0:
        raise errors.UsageError(f"split {config.split!r} has no rows to train on; choose another with --split")
    steps = _batches(config, stream)
    rows = stream.rows_of(steps)
    active = kept or layers * options.get("l0_target", DEFAULT_K)
    return TrainPlan(
        dictionary=config.dictionary,
        sites=stream.sites,
        reads=reads,
        writes=writes,
        width=stream.width,
        latents=latents,
        kept=kept,
        options=options,
        sparsity=kind.sparsity_of(options) if config.sparsity is None else config.sparsity,
        lr=default_lr(latents // layers) if config.lr is None else config.lr,
        encoder_rate=config.encoder_rate or default_encoder_rate(steps),
        steps=steps,
        batch_rows=stream.batch_rows,
        rows=rows,
        seed=config.seed,
        order_seed=None if config.row_seed == config.seed else config.row_seed,
        order=config.order,
        split=config.split,
        warmup_rows=min(MAX_WARMUP_STEPS * stream.batch_rows, round(config.warmup_share * rows)),
        decay_rows=round(config.decay_share * rows),
        sparsity_warmup_rows=round(config.sparsity_warmup_share * rows),
        precision=config.precision,
        gradient_clip=config.gradient_clip,
        auxk_weight=config.auxk_weight if kind.takes_auxk else 0.0,
        auxk_latents=config.auxk_latents or max(1, layers * stream.width // 2),
        dead_after_rows=config.dead_after_rows
        or default_dead_after_rows(latents, active, batch_rows=stream.batch_rows),
        **of_rows,
    )


def _of_rows(config: TrainConfig, labels: LabelFacts | None, *, same_rows: bool) -> dict[str, Any]:
    """Return the fields about rows and further terms; refuse those that contradict each other, or the dictionary."""
    if (labels is None) != (config.probe_weight == 0):
        raise errors.UsageError("a probe needs labels and a weight: give --labels FILE and --probe-weight, or neither")
    if not same_rows and transform_of(config.normalisation) != "none":
        raise errors.UsageError(
            f"--normalisation {config.normalisation} is undone with the statistics of the row that was read, and "
            f"{config.dictionary} writes other rows than it reads; take unit, sqrt_d or none"
        )
    return {name: getattr(config, name) for name in _OF_ROWS} | {"labels": labels}


def _latents(config: TrainConfig, stream: StreamFacts) -> int:
    latents = config.expansion * stream.width if config.latents is None else config.latents
    if latents > MOST_LATENTS:
        raise errors.UsageError(
            f"{latents:,} latents (expansion {config.expansion:,} times {stream.width:,} features); at most "
            f"{MOST_LATENTS:,} can be trained, so lower --latents or --expansion"
        )
    return latents


def _options(kind: type[Dictionary], config: TrainConfig) -> dict[str, Any]:
    """Return the settings that only this dictionary has; refuse those of others."""
    given = config.given_options()
    if others := given.keys() - kind.options.keys():
        takes = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(kind.options)) or "none of its kind"
        raise errors.UsageError(
            f"{config.dictionary} has no --{min(others).replace('_', '-')}; options of its own: {takes}"
        )
    return {**kind.options, **given}


def _shape(
    sites: tuple[str, ...],
    reads: tuple[str, ...] | None,
    writes: tuple[str, ...] | None,
    width: int,
    latents: int,
    kept: int | None,
) -> Shape:
    """Return the sizes of a dictionary, with its sites by number."""
    read, written = (None if names is None else tuple(map(sites.index, names)) for names in (reads, writes))
    return Shape(len(sites), width, latents, kept, read, written)


def _check(name: DictionaryName, shape: Shape, options: Mapping[str, Any], *, layers: int) -> None:
    """Refuse options that contradict the dictionary or each other."""
    target, latents = options.get("l0_target", 0), shape.latents // layers
    if target > latents:
        raise errors.UsageError(
            f"l0_target = {target:g} of only {latents} latents; lower --l0-target or raise --latents"
        )
    try:
        with torch.device("meta"):
            DICTIONARIES[name](shape, **options)
    except ValueError as error:
        raise errors.UsageError(f"{name}: {error}") from None


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
