"""Refuse a run whose batches cannot be divided among processes or passes: what it learns would not be the same."""

from __future__ import annotations

from actstore import errors
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.plan import TrainPlan
from trainers.workflows.options import RunOptions
from trainers.workflows.ranks import Ranks

__all__ = ["check_divided"]


def check_divided(plan: TrainPlan, ranks: Ranks, options: RunOptions) -> None:
    """Refuse what needs a whole batch at once.

    Raises
    ------
    UsageError
        If the batch is divided and a term of the loss, an option or the dictionary needs the whole of it.
    """
    passes = options.accumulate
    if not ranks.several and passes == 1:
        return
    among = f"WORLD_SIZE={ranks.size}" if ranks.several else f"--accumulate {passes}"
    whole = "start the trainer without torchrun" if ranks.several else ""
    way_out = " and ".join(filter(None, [whole, "leave out --accumulate" if passes > 1 else ""]))
    for option, why in _of_whole_batches(plan, ranks, passes).items():
        raise errors.UsageError(f"{option}: {why}, and {among} divides each batch; {way_out}, or leave out {option}")


def _of_whole_batches(plan: TrainPlan, ranks: Ranks, passes: int) -> dict[str, str]:
    """Return what needs whole batches, and why, by option."""
    found = {}
    if plan.smoothness_weight:
        found["--smoothness-weight"] = "the term is about neighbouring residues of one batch"
    if plan.probe_weight:
        found["--probe-weight"] = "the term is a mean over the labelled rows of a batch"
    if ranks.several and plan.max_norm_quantile is not None:
        found["--max-norm-quantile"] = "rows are dropped from a whole batch"
    if passes > 1 and DICTIONARIES[plan.dictionary].needs_whole_batch:
        found[f"--dictionary {plan.dictionary}"] = "its penalty is set anew by each batch"
    return found
