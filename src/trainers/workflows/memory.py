"""Check before training that a step fits into memory, and say what would."""

from __future__ import annotations

from typing import Final

import torch

from actstore import available_memory, errors
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.plan import TrainPlan

__all__ = ["check_memory", "free_bytes", "is_out_of_memory", "least_step_bytes", "what_fits"]

_WEIGHT_BYTES: Final = 16
"""Weight, gradient and two moments."""
_ALLOCATOR_TEXTS: Final = ("can't allocate memory", "not enough memory")
"""How the CPU allocator of torch says that there is none."""


def check_memory(plan: TrainPlan, device: torch.device, *, passes: int = 1, processes: int = 1) -> None:
    """Refuse a run whose steps cannot fit.

    Parameters
    ----------
    passes
        Parts of a batch, over all processes, each of which is a pass.
    processes
        Processes that share the memory of the device.

    Raises
    ------
    TrainingError
        If the least that a step needs is more than is free; with the batch or the dictionary that would fit.
    """
    free, needed = free_bytes(device), processes * least_step_bytes(plan, passes=passes)
    if free is not None and needed > free:
        raise errors.TrainingError(
            f"a step of {-(-plan.batch_rows // passes):,} rows with {plan.latents:,} latents of {len(plan.sites)} x "
            f"{plan.width} features needs at least {needed:,} bytes on {device}"
            f"{f' in {processes} processes' if processes > 1 else ''}, and {free:,} are free; "
            f"{what_fits(plan, free // processes, passes=passes)}"
        )


def least_step_bytes(plan: TrainPlan, *, passes: int = 1) -> int:
    """Return the least memory of a step: weights with gradient and moments, pre-activations, rows and their errors.

    Measured steps on a CPU take up to twice as much.
    """
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in plan.build().parameters())
    return _WEIGHT_BYTES * weights + -(-plan.batch_rows // passes) * _row_bytes(plan)


def what_fits(plan: TrainPlan, free: int, *, passes: int = 1) -> str:
    """Say which batch fits into `free` bytes with half of them to spare, or else which dictionary."""
    spare = free // 2
    weights = least_step_bytes(plan) - plan.batch_rows * _row_bytes(plan)
    if (rows := (spare - weights) // _row_bytes(plan) * passes) >= 1:
        fits = min(rows, max(plan.batch_rows // 2, 1))
        return f"--batch-rows {max(fits // passes, 1) * passes} would fit, or the same in more passes with --accumulate"
    latents = spare * plan.latents // (weights + _row_bytes(plan))
    return f"--latents {max(latents, 1)} with small --batch-rows would fit"


def free_bytes(device: torch.device) -> int | None:
    """Return how much memory is free; None if nobody knows."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_memory()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch says that memory is used up."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        text in str(error) for text in _ALLOCATOR_TEXTS
    )


def _row_bytes(plan: TrainPlan) -> int:
    """Return the bytes of a row: pre-activations, and their ranking or gradients; values, result and error."""
    copies = 1 if DICTIONARIES[plan.dictionary].keeps_k and len(plan.sites) == 1 else 2
    return 4 * (copies * plan.latents + 3 * len(plan.sites) * plan.width)
