"""Everything that changes during training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import Dictionary
from trainers.fit.terms.probe import Probe

__all__ = ["TrainState"]


@dataclass(slots=True, eq=False)
class TrainState:
    """Weights, optimiser and counters of a run; a checkpoint holds these and the cursor of the stream."""

    dictionary: Dictionary
    optimizer: torch.optim.Adam
    scale_S: Tensor
    """Input scale of each site, float32."""
    variance: float
    """Variance of the scaled rows of the store, summed over written sites and features: the unit of the objective."""
    idle_rows_F: Tensor
    """int64: rows since each latent last fired."""
    step: int = 0
    """Steps done."""
    rows: int = 0
    """Rows trained on, those that were dropped included."""
    read_variance: float | None = None
    """The variance of the sites that are read; None if these are the written ones."""
    most_norm_S: Tensor | None = None
    """Norm of a raw row at each site beyond which it is dropped, float32; None for no limit."""
    dropped_rows: int = 0
    """Rows that were dropped because they are too long."""
    drawn_rows: int = 0
    """Rows that were drawn before training to estimate what the statistics of the store do not have."""
    probe: Probe | None = None
    """Reads labels from codes; None without labels."""
