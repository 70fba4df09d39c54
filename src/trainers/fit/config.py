"""Configuration of a training run, which decides its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from actstore import did_you_mean, errors

__all__ = ["MOST_LATENTS", "OPTIONS", "DictionaryName", "Normalisation", "Precision", "TrainConfig", "make_config"]

DictionaryName = Literal["topk-sae", "relu-sae", "crosscoder-topk", "crosscoder-l1", "crosscoder-l2"]
Normalisation = Literal["unit", "sqrt_d"]
Precision = Literal["float32", "bf16"]
OPTIONS: Final[tuple[str, ...]] = ()
"""Fields that only some dictionaries take (`Dictionary.options`); None stands for the default of the dictionary."""
MOST_LATENTS: Final = 1 << 28
MOST_FACTOR: Final = 1e6
"""Limit for learning rate, coefficients and norms: far more than trains, and no product of them overflows."""
MOST_STEPS: Final = 1 << 40
MOST_BATCH_ROWS: Final = 1 << 22
MOST_SEED: Final = (1 << 63) - 1


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
    """One or several sites or globs to read; None for all of the store. Sparse autoencoders read one."""

    latents: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Dictionary size F; None for `expansion` times the features D of a site."""

    expansion: int = Field(default=8, ge=1, le=MOST_LATENTS)
    """F divided by D, if `latents` is not given."""

    k: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Latents kept for each row in TopK dictionaries, where None means 32; others keep no fixed number."""

    sparsity: float | None = Field(default=None, ge=0.0, le=MOST_FACTOR)
    """Coefficient of the sparsity penalty, relative to the unexplained share of the variance (`fit.objective`): it
    means the same for any scale of the rows and any number of sites. None for the default; TopK has none."""

    lr: float | None = Field(default=None, gt=0.0, le=MOST_FACTOR)
    """Peak learning rate of Adam for the decoder, for any scale of the rows. None for ``5e-3 * sqrt(1024 / F)``."""

    encoder_rate: float | None = Field(default=None, gt=0.0, le=MOST_FACTOR)
    """Learning rate of the encoder beside that of the decoder. None for a quarter, in longer runs for less, down to a
    sixteenth (`fit.plan.default_encoder_rate`)."""

    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Batches to train on; None for one pass over the split. Each epoch has another order. Their rows are the horizon
    of the schedule: all its shares are of rows."""

    batch_rows: int = Field(default=2048, ge=1, le=MOST_BATCH_ROWS)
    """Rows B of a batch."""

    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    """Seeds initial weights and the order of rows."""

    order: Literal["windows", "uniform"] = "windows"
    """`windows` mixes rows in a buffer; `uniform` is a true permutation, for local stores without compression."""

    split: str = "train"
    """Split of the store to train on."""

    normalisation: Normalisation = "unit"
    """Input scale of each site: `unit` gives mean square norm 1, `sqrt_d` gives mean norm sqrt(D)."""

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

    auxk_latents: int | None = Field(default=None, ge=1, le=MOST_LATENTS)
    """Most dead latents that AuxK uses for a row (k_aux); None for half the features of a site."""

    dead_after_rows: int | None = Field(default=None, ge=1, le=1 << 62)
    """A latent is dead if it fired on none of so many last rows; None for those in which it would fire 320 times if all
    latents were used alike, at least 10 batches and at most 10 M rows."""

    def given_options(self) -> dict[str, Any]:
        """Return the settings that only some dictionaries take, as far as they are given."""
        return {name: value for name in OPTIONS if (value := getattr(self, name)) is not None}

    @field_validator("sites", mode="before")
    @classmethod
    def _one_or_several(cls, sites: object) -> object:
        return (sites,) if isinstance(sites, str) else sites


def make_config(options: Mapping[str, Any]) -> TrainConfig:
    """Check options from outside.

    Raises
    ------
    UsageError
        If an option is invalid; the message names the option, its value and the allowed ones.
    """
    try:
        return TrainConfig.model_validate(dict(options))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}: {fault['msg']}{_hint(fault)}"
            for fault in error.errors()
        ]
        raise errors.UsageError("; ".join(faults)) from None


def _hint(fault: ErrorDetails) -> str:
    """Return the nearest option where there is none of that name."""
    return did_you_mean(str(fault["loc"][-1]), TrainConfig.model_fields) if fault["type"] == "extra_forbidden" else ""
