"""Configuration of a training run, which decides its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from actstore import did_you_mean, errors

__all__ = [
    "MOST_LATENTS",
    "OPTIONS",
    "BiasStart",
    "DictionaryName",
    "Normalisation",
    "Precision",
    "TrainConfig",
    "make_config",
]

DictionaryName = Literal[
    "topk-sae",
    "batch-topk-sae",
    "jumprelu-sae",
    "matryoshka-sae",
    "relu-sae",
    "relu-sae-weighted",
    "gated-sae",
    "p-annealing-sae",
    "crosscoder-topk",
    "crosscoder-batch-topk",
    "crosscoder-jumprelu",
    "crosscoder-matryoshka",
    "crosscoder-l1",
    "crosscoder-l2",
    "transcoder-topk",
    "transcoder-batch-topk",
    "transcoder-jumprelu",
    "clt-topk",
    "clt-batch-topk",
    "clt-jumprelu",
]
Normalisation = Literal["unit", "sqrt_d", "none", "row-zscore", "row-norm"]
BiasStart = Literal["mean", "geometric-median"]
Precision = Literal["float32", "bf16"]
OPTIONS: Final[tuple[str, ...]] = (
    "skip",
    "threshold_decay",
    "groups",
    "group_draw",
    "l0_target",
    "l0_penalty",
    "bandwidth",
    "p_end",
    "p_anneal_from",
    "shared_latents",
    "exclusive_latents",
    "shared_sparsity",
)
"""Fields that only some dictionaries take (`Dictionary.options`); None stands for the default of the dictionary."""
MOST_LATENTS: Final = 1 << 28
MOST_FACTOR: Final = 1e6
"""Limit for learning rate, coefficients and norms: far more than trains, and no product of them overflows."""
MOST_STEPS: Final = 1 << 40
MOST_BATCH_ROWS: Final = 1 << 22
MOST_SEED: Final = (1 << 63) - 1
_MOST_SHOWN: Final = 200
_MOST_FAULTS: Final = 20


class TrainConfig(BaseModel):
    """Everything that decides the result of a training run; `plan_training` derives fields of None from the store.

    Device, buffer size and output folder do not belong here: they do not change the result.

    Examples
    --------
    >>> TrainConfig(dictionary="topk-sae", sites=("resid_post.3",)).expansion
    8
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    dictionary: DictionaryName = "topk-sae"
    """Which dictionary: a row of `dictionaries.table.DICTIONARIES`."""

    sites: tuple[str, ...] | None = None
    """One or several sites or globs to read; None for all of the store. Sparse autoencoders and transcoders
    read one."""

    targets: tuple[str, ...] | None = None
    """Sites or globs that a transcoder writes, in the order of `sites` for a cross-layer transcoder; None for those
    that are read. Other dictionaries write what they read."""

    skip: bool | None = None
    """Whether a transcoder has an affine skip connection beside its latents; None for none."""

    latents: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Dictionary size F; None for `expansion` times the features D of a site. Of a cross-layer transcoder, the latents
    of each layer."""

    expansion: int = Field(default=8, ge=1, le=MOST_LATENTS)
    """F divided by D, if `latents` is not given."""

    k: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Latents kept for each row in TopK dictionaries, on average in BatchTopK and Matryoshka, where None means 32;
    others keep no fixed number. In a cross-layer transcoder, K for each layer on average: the layers share K times
    their number."""

    threshold_decay: float | None = Field(default=None, ge=0.0, lt=1.0)
    """BatchTopK: decay of the weights, a batch, in the mean of cutoffs that is the threshold for evaluation."""

    groups: tuple[float, ...] | None = None
    """Matryoshka: share of the latents in each group; each prefix of groups must reconstruct."""

    group_draw: Literal["fixed", "random"] | None = None
    """Matryoshka: whether prefixes are those of the groups, or drawn anew for each step."""

    l0_target: float | None = Field(default=None, gt=0.0, le=MOST_LATENTS)
    """JumpReLU: active latents of a row that the penalty counts by, or aims at; in a cross-layer transcoder, for each
    layer."""

    l0_penalty: Literal["target", "linear", "tanh"] | None = None
    """JumpReLU: how active latents are priced (`dictionaries.codes.jumprelu`)."""

    bandwidth: float | None = Field(default=None, gt=0.0, le=MOST_FACTOR)
    """JumpReLU: width of the window in which pre-activations move a threshold, in units of the spread of the rows."""

    sparsity: float | None = Field(default=None, ge=0.0, le=MOST_FACTOR)
    """Coefficient of the sparsity penalty, relative to the unexplained share of the variance (`fit.objective`): it
    means the same for any scale of the rows and any number of sites. None for the default; TopK has none."""

    p_end: float | None = Field(default=None, gt=0.0, le=1.0)
    """Power p of the penalty of `p-annealing-sae` at the end of the run, where None means 0.2; it begins at 1."""

    p_anneal_from: float | None = Field(default=None, ge=0.0, le=1.0)
    """Share of the rows after which p falls, linearly to the end; None means 0.1. At 1 it never falls."""

    shared_latents: float | None = Field(default=None, ge=0.0, le=MOST_LATENTS)
    """Latents of a crosscoder with the same decoder at all sites: a number, or a share of F below 1. None means 0."""

    exclusive_latents: float | None = Field(default=None, ge=0.0, le=MOST_LATENTS)
    """Latents of a crosscoder for each site that read and write only that site: a number, or a share of F below 1. None
    means 0."""

    shared_sparsity: float | None = Field(default=None, ge=0.0, le=MOST_FACTOR)
    """Factor of the penalty of `shared_latents`; None means 0.1."""

    lr: float | None = Field(default=None, gt=0.0, le=MOST_FACTOR)
    """Peak learning rate of Adam for the decoder, for any scale of the rows. None for ``5e-3 * sqrt(1024 / F)``."""

    encoder_rate: float | None = Field(default=None, gt=0.0, le=MOST_FACTOR)
    """Learning rate of the encoder beside that of the decoder. None for a quarter, in longer runs for less, down to a
    sixteenth (`fit.defaults.default_encoder_rate`)."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Batches to train on; None for one pass over the split. Each epoch has another order. Their rows are the horizon
    of the schedule: all its shares are of rows."""

    batch_rows: int = Field(default=2048, ge=1, le=MOST_BATCH_ROWS)
    """Rows B of a batch."""

    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Seeds initial weights and, unless `order_seed` is given, the order of rows."""

    order_seed: int | None = Field(default=None, ge=0, le=MOST_SEED)
    """Seeds the order of rows; None for `seed`. Runs that share it get the same batches, so one stream serves them."""

    order: Literal["windows", "uniform"] = "windows"
    """`windows` mixes rows in a buffer; `uniform` is a true permutation, for local stores without compression."""

    split: str = "train"
    """Split of the store to train on."""

    normalisation: Normalisation = "unit"
    """Input scale of each site: `unit` gives mean square norm 1, `sqrt_d` gives mean norm sqrt(D), `none` leaves rows
    as they are. Or a transform of each row by itself: `row-zscore` subtracts the mean over its features and divides by
    their standard deviation, `row-norm` gives it norm sqrt(D)."""

    max_norm_quantile: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Rows that are longer at any site than this quantile of the norms there are not trained on; None keeps all."""

    b_dec_start: BiasStart = "mean"
    """Where the decoder bias starts: at the mean of the rows, or at their geometric median."""

    warmup_share: float = Field(default=0.05, ge=0.0, le=1.0)
    """Share of the rows in which the learning rate rises linearly, at most 1,000 batches."""

    decay_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of the rows, at the end, in which the learning rate falls linearly to zero."""

    sparsity_warmup_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of the rows in which the penalty rises linearly, so that latents do not die before they learn."""

    precision: Precision = "float32"
    """Number format of matrix products; with `bf16`, weights, optimiser and losses stay in float32."""

    gradient_clip: float = Field(default=1.0, gt=0.0, le=MOST_FACTOR)
    """Largest norm of the gradient over all weights, with biases in units of the spread of the rows."""

    auxk_weight: float = Field(default=1 / 32, ge=0.0, le=MOST_FACTOR)
    """Weight of the AuxK loss of TopK dictionaries, a share as the reconstruction term is; 0 turns it off."""

    decorrelation_weight: float = Field(default=0.0, ge=0.0, le=MOST_FACTOR)
    """Weight of the mean squared cosine of decoder atoms, which is 1 for random directions; 0 turns it off."""

    smoothness_weight: float = Field(default=0.0, ge=0.0, le=MOST_FACTOR)
    """Weight of the difference between the codes of neighbouring residues, a share; 0 turns it off."""

    probe_weight: float = Field(default=0.0, ge=0.0, le=MOST_FACTOR)
    """Weight of the loss of a linear probe that reads `labels` from codes, a share; 0 turns it off."""

    labels: str | None = None
    """Parquet file with labels of residues: columns `sequence`, `position` (from 0), and one for each label."""

    auxk_latents: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Most dead latents that AuxK uses for a row (k_aux); None for half the features of a site."""

    dead_after_rows: int | None = Field(default=None, ge=1, le=1 << 62)
    """A latent is dead if it fired on none of so many last rows; None for those in which it would fire 320 times if all
    latents were used alike, at least 10 batches and at most 10 M rows."""

    @property
    def row_seed(self) -> int:
        """What seeds the order of rows."""
        return self.seed if self.order_seed is None else self.order_seed

    def given_options(self) -> dict[str, Any]:
        """Return the settings that only some dictionaries take, as far as they are given, as JSON has them."""
        given = {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}
        return {name: [*value] if isinstance(value, tuple) else value for name, value in given.items()}

    @field_validator("sites", "targets", mode="before")
    @classmethod
    def _one_or_several(cls, sites: object) -> object:
        if isinstance(sites, list):  # of a document
            return tuple(sites)
        return (sites,) if isinstance(sites, str) else sites


def make_config(options: Mapping[str, Any], *, said_by: Mapping[str, str] | None = None) -> TrainConfig:
    """Check options from outside.

    Parameters
    ----------
    options
        Values by field.
    said_by
        Where a field was given, such as a file: an error about it begins with that. If this is given, the values are
        those of documents, whose types are not converted: ``"3"`` and ``true`` are no numbers.

    Raises
    ------
    UsageError
        If an option is invalid; the message names the option, its value and the allowed ones.
    """
    try:
        if said_by is None:
            return TrainConfig.model_validate(dict(options))
        return TrainConfig.model_validate_json(json.dumps(dict(options), default=str), strict=True)
    except ValidationError as error:
        faults = error.errors()[:_MOST_FAULTS]
        texts = [f"{_place(fault, said_by or {})}: {fault['msg']}{_hint(fault)}" for fault in faults]
        raise errors.UsageError("; ".join(texts)) from None


def _place(fault: ErrorDetails, said_by: Mapping[str, str]) -> str:
    """Return where a fault is, and the value there."""
    field, *below = map(str, fault["loc"])
    place = f"{said_by[field]}: {field}" if said_by.get(field) else field
    value = repr(fault["input"])
    shown = value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}..."
    return f"{'.'.join([place, *below])} = {shown}"


def _hint(fault: ErrorDetails) -> str:
    """Return the nearest option where there is none of that name."""
    return did_you_mean(str(fault["loc"][-1]), TrainConfig.model_fields) if fault["type"] == "extra_forbidden" else ""
