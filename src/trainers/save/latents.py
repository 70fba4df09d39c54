"""How often each latent fired: `latents.safetensors`, beside the result of a run.

::

    fired_F       int64: evaluated rows on which each latent was active; the result says how many rows there were
    idle_rows_F   int64: rows of training since each latent last fired, at the end of training
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import torch
from torch import Tensor

from actstore import errors
from trainers.save.files import flush_to_disk, save_tensors
from trainers.save.tensors import load_tensors, on_cpu

__all__ = ["LatentCounts", "read_latents", "write_latents"]

_NAMES: Final = ("fired_F", "idle_rows_F")


class LatentCounts(NamedTuple):
    """How often, and how recently, each latent fired."""

    fired_F: Tensor
    """int64: evaluated rows on which each latent was active."""
    idle_rows_F: Tensor
    """int64: rows of training since each latent last fired."""


def write_latents(path: Path, counts: LatentCounts) -> None:
    """Replace the file; a kill at any moment leaves the old one or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    save_tensors(partial, on_cpu(counts._asdict()))
    flush_to_disk(partial)
    partial.replace(path)
    flush_to_disk(path.parent)


def read_latents(path: Path) -> LatentCounts:
    """Read the file.

    Raises
    ------
    CheckpointError
        If it is missing or damaged.
    """
    tensors = load_tensors(path)
    found = [tensors.get(name) for name in _NAMES]
    counts = [one for one in found if one is not None and one.dtype == torch.int64 and one.ndim == 1]
    if len(counts) != len(_NAMES) or counts[0].shape != counts[1].shape:
        raise errors.CheckpointError(f"{path}: not the counts of a dictionary's latents; score the run again")
    return LatentCounts(*counts)
