"""The limit of extraction: the forward passes of its batches, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.contracts.tasks import Task
from actstore.extract.inputs import Inputs
from actstore.extract.model import TransformersModel
from actstore.extract.threads import LoneThreads
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.sequences import StoredSequences
from actstore.workflows.extract import extract_with
from actstore.workflows.extraction.plan import reopen

__all__ = ["Clock", "in_lone_threads", "padding_of", "planned_tasks", "run_pass"]


class Clock:
    """Seconds until the device is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = 0.0

    def __enter__(self) -> Clock:
        self._wait()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self._began

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def planned_tasks(model: TransformersModel, recipe: Recipe, folder: Path) -> list[tuple[Task, list[str]]]:
    """Return every task of an extraction, and the windows of its pieces; the extraction also warms up."""
    store = LocalObjects(folder)
    extract_with(model, store, recipe)
    plan = reopen(store, load_frozen(store), model).tasks
    with StoredSequences(store) as sequences:
        return [
            (task, [sequences.residues(piece.sequence)[piece.start : piece.stop] for piece in task.pieces])
            for task in map(plan.task, range(plan.tasks))
        ]


def run_pass(network: nn.Module, tokens_and_mask: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Run one forward pass of `transformers`."""
    with torch.inference_mode():
        network(input_ids=tokens_and_mask[0], attention_mask=tokens_and_mask[1])


def in_lone_threads(function: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Call a function with each item, one thread a call and as many at a time as there are cores; return seconds."""
    with LoneThreads() as threads:
        began = time.perf_counter()
        for _ in threads.map(function, items):
            pass
        return time.perf_counter() - began


def padding_of(inputs: Sequence[Inputs]) -> float:
    """Return the share of the token area of passes that is padding."""
    present = sum(int(each.present_RT.sum()) for each in inputs)
    return round(1.0 - present / sum(each.present_RT.size for each in inputs), 4)
