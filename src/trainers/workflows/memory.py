"""Check before training that a step fits into memory, and say what would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch

from actstore import available_memory, errors
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.plan import TrainPlan
from trainers.fit.terms.probe import probe_parameters

__all__ = [
    "OutOfMemoryError",
    "check_memory",
    "free_bytes",
    "is_out_of_memory",
    "least_step_bytes",
    "state_bytes",
    "what_fits",
]

_WEIGHT_BYTES: Final = 16
"""Weight, gradient and two moments."""
_ALLOCATOR_TEXTS: Final = ("can't allocate memory", "not enough memory")
"""How the CPU allocator of torch says that there is none."""


class OutOfMemoryError(errors.TrainingError):
    """A step for which there was no memory; the same step may succeed when others need less."""


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
            f"{what_fits(plan, free // processes, passes=passes)}; --accumulate divides a batch into smaller passes"
        )


def least_step_bytes(plan: TrainPlan, *, passes: int = 1) -> int:
    """Return the least memory of a step: weights with gradient and moments, pre-activations, rows and their errors.

    Measured steps on a CPU take up to twice as much.
    """
    return state_bytes(plan) + -(-plan.batch_rows // passes) * _row_bytes(plan)


def state_bytes(plan: TrainPlan) -> int:
    """Return the memory of weights, gradients and moments, which stays between steps."""
    with torch.device("meta"):
        weights = sum(parameter.numel() for parameter in plan.build().parameters())
    weights += probe_parameters(plan.labels, latents=plan.latents)
    return _WEIGHT_BYTES * weights


def what_fits(plan: TrainPlan, free: int, *, passes: int = 1) -> str:
    """Say which batch and which number of latents fit into `free` bytes with half of them to spare.

    Each for itself where it is enough, else both together. The batch is that of all passes.
    """
    spare = free // 2
    plan = plan.model_copy(update={"batch_rows": -(-plan.batch_rows // passes)})
    alone = [(f"--batch-rows {rows * passes}") for rows in (_rows_that_fit(plan, spare),) if rows]
    alone += [(f"--latents {latents}") for latents in (_latents_that_fit(plan, spare),) if latents]
    if alone:
        return f"{' or '.join(alone)} would fit"
    for batch_rows in _smaller(plan.batch_rows):
        fewer = plan.model_copy(update={"batch_rows": batch_rows})
        if latents := _latents_that_fit(fewer, spare):
            return f"--batch-rows {batch_rows * passes} with --latents {latents} would fit"
    return f"no dictionary of {len(plan.sites)} x {plan.width} features fits: choose fewer sites, or another machine"


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


def _rows_that_fit(plan: TrainPlan, spare: int) -> int:
    """Return the largest batch, at most half of that of the plan, whose least fits; 0 if none does."""
    weights = state_bytes(plan)
    return max(0, min((spare - weights) // _row_bytes(plan), plan.batch_rows // 2))


def _latents_that_fit(plan: TrainPlan, spare: int) -> int:
    """Return the largest dictionary, at most half of that of the plan, whose least fits; 0 if none does.

    As `TrainConfig.latents` counts it.
    """
    layers, least = plan.latents // plan.latents_each, least_step_bytes(plan)
    growth = least_step_bytes(plan.model_copy(update={"latents": plan.latents + layers})) - least  # it is linear
    latents = min(plan.latents_each + (spare - least) // growth, plan.latents_each // 2)
    return latents if latents >= (plan.kept_each or 1) else 0


def _smaller(batch_rows: int) -> Iterator[int]:
    """Yield smaller batches, each half of the one before."""
    while batch_rows > 1:
        batch_rows //= 2
        yield batch_rows


def _row_bytes(plan: TrainPlan) -> int:
    """Return the bytes of a row: pre-activations, and their ranking or gradients; values, result and error."""
    copies = 1 if DICTIONARIES[plan.dictionary].keeps_k and DICTIONARIES[plan.dictionary].one_site else 2
    return 4 * (copies * plan.latents + 3 * len(plan.sites) * plan.width)
