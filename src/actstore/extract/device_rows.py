"""Rows of a task that stay on the device of the model until they are encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actstore.contracts.models import Site
from actstore.errors import ModelError
from actstore.extract.forward import ForwardPass

__all__ = ["TorchRows"]


@dataclass(frozen=True, slots=True, eq=False)
class TorchRows:
    """The `DeviceRows` of a model."""

    forward: ForwardPass
    sites: Sequence[Site]
    """With their widths."""
    model: str
    """Name of the model, for messages."""

    def allocate(self, rows: int) -> dict[str, torch.Tensor]:
        """Return a tensor [N, D] for each site; see `DeviceRows`."""
        device = self.forward.network.device
        try:
            return {site.name: torch.empty((rows, site.width), device=device) for site in self.sites}
        except torch.OutOfMemoryError as error:
            size = sum(rows * site.width * 4 for site in self.sites)
            raise ModelError(
                f"the rows of a task ({rows:,} at {len(self.sites)} sites, {size:,} bytes) do not fit the memory "
                f"of {device} beside {self.model}; make tasks smaller (--set store.task_rows=...; this makes "
                "another store)"
            ) from error

    def fill(
        self,
        residues: Sequence[str],
        kept: Sequence[NDArray[np.int32]],
        into: Mapping[str, Any],
        place_n: NDArray[np.int64],
    ) -> None:
        """Run one forward pass and put its rows into tensors of `allocate`; see `DeviceRows`."""
        self.forward.rows_into(residues, kept, into, place_n)
