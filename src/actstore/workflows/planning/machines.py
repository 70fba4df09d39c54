"""Hours of the same work on every machine of the table, and on this machine, whose rate is measured."""

from __future__ import annotations

import math
import time
from typing import Final

import numpy as np

from actstore.budget.assumptions import Assumptions
from actstore.budget.hardware import GPUS
from actstore.view.plan_report import PlannedExtraction, PlannedMachine, PlannedTrainer

__all__ = ["THIS_MACHINE", "measured_flops_per_s", "planned_machines"]

THIS_MACHINE: Final = "this machine"
_TRAINING_DTYPE: Final = "bfloat16"
_HOUR_S: Final = 3600.0
_SIDE: Final = 768
_MEASURED_S: Final = 0.2


def measured_flops_per_s() -> float:
    """Return the rate of this machine's processor in products of large float32 matrices, after 0.2 s of measuring.

    A forward pass on a CPU is slower than its matrix products; a GPU of this machine does not count.
    """
    generator = np.random.default_rng(0)
    one_DD, other_DD = generator.standard_normal((2, _SIDE, _SIDE), dtype=np.float32)
    product_DD = one_DD @ other_DD  # threads are started
    fastest_s, ends_s = math.inf, time.perf_counter() + _MEASURED_S
    while (started_s := time.perf_counter()) < ends_s or math.isinf(fastest_s):
        np.matmul(one_DD, other_DD, out=product_DD)
        fastest_s = min(fastest_s, time.perf_counter() - started_s)  # others may use the machine now, not later
    return 2 * _SIDE**3 / fastest_s


def planned_machines(
    extraction: PlannedExtraction,
    trainer: PlannedTrainer,
    dtype: str,
    assume: Assumptions,
) -> tuple[PlannedMachine, ...]:
    """Return a row for every machine of the table, and one for this machine if its rate is known.

    The machine of the plan has the hours of the plan, which may come from a measured rate.

    Parameters
    ----------
    extraction, trainer
        What is to be done.
    dtype
        Number format of the forward pass.
    assume
        Utilisation, prices, and the rate of this machine.
    """
    rates = {
        name: (gpu.tflops(dtype) * assume.utilisation, gpu.tflops(_TRAINING_DTYPE) * assume.utilisation)
        for name, gpu in GPUS.items()
    }
    if assume.machine_flops_per_s is not None:
        rates[THIS_MACHINE] = (assume.machine_flops_per_s / 1e12,) * 2
    machines = []
    for name, (extracting, training) in rates.items():
        hours = None if extraction.flops_total is None else extraction.flops_total / (extracting * 1e12 * _HOUR_S)
        if name == assume.gpu:
            hours = extraction.gpu_hours
        price = assume.prices.gpu.get(name)
        machines.append(
            PlannedMachine(
                name=name,
                tflops=extracting,
                extraction_hours=hours,
                training_hours=trainer.flops_total / (training * 1e12 * _HOUR_S),
                extraction_dollars=None if hours is None or price is None else hours * price,
            )
        )
    return tuple(machines)
