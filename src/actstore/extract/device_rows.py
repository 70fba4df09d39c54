"""Rows of a task that stay on the device of the model until they are encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from actstore.errors import ModelError
from actstore.extract.forward import forward_rows_into

if TYPE_CHECKING:
    from actstore.extract.model import TransformersModel

__all__ = ["TorchRows"]


@dataclass(frozen=True, slots=True, eq=False)
class TorchRows:
    """The `DeviceRows` of a model."""

    model: TransformersModel

    def allocate(self, rows: int) -> dict[str, torch.Tensor]:
        """Return a tensor [N, D] for each site; see `DeviceRows`."""
        device = self.model.network.device
        try:
            return {site.name: torch.empty((rows, site.width), device=device) for site in self.model.sites}
        except torch.OutOfMemoryError as error:
            size = sum(rows * site.width * 4 for site in self.model.sites)
            raise ModelError(
                f"the rows of a task ({rows:,} at {len(self.model.sites)} sites, {size:,} bytes) do not fit into the "
                f"memory of {device} beside {self.model.facts.name}; make tasks smaller (--set store.task_rows=..., "
                "in a new store)"
            ) from error

    def fill(
        self,
        residues: Sequence[str],
        kept: Sequence[NDArray[np.int32]],
        into: Mapping[str, Any],
        place_n: NDArray[np.int64],
    ) -> None:
        """Run one forward pass and write its rows to tensors of `allocate`; see `DeviceRows`."""
        model = self.model
        with model.passes:
            forward_rows_into(
                model.network,
                model.tokenizer,
                model.sites,
                residues,
                kept,
                longest=model.longest,
                pack_tokens=model.pack_tokens,
                into=into,
                place_n=place_n,
            )
