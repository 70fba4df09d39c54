"""Everything that changes during training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.dictionaries.dictionary import Dictionary

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
    """Rows trained on."""
    read_variance: float | None = None
    """The same of the sites that are read; None if these are the written ones."""
