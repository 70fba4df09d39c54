"""Which members of a sweep read the store together, and what memory that needs; nothing is read yet."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import torch

from actstore import errors
from trainers.fit.config import TrainConfig
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.fit.terms.labels import Labels
from trainers.workflows.memory import free_bytes, least_step_bytes, state_bytes, what_fits
from trainers.workflows.options import RunOptions
from trainers.workflows.rows import Rows
from trainers.workflows.rows_plan import plan_rows
from trainers.workflows.training.labels import read_labels
from trainers.workflows.training.neighbours import check_neighbours
from trainers.workflows.training.prepare import HELD_OUT_BYTES

__all__ = ["Member", "Pass", "plan_passes"]

_SHARE_OF_FREE: Final = 0.8
"""Share of the free memory that a pass may need by the estimate."""
_STEP_FACTOR: Final = 2
"""Measured steps take up to twice the least that they need beside the weights."""


@dataclass(frozen=True, slots=True)
class Member:
    """One dictionary of a sweep, with every number settled."""

    name: str
    config: TrainConfig
    plan: TrainPlan
    options: RunOptions
    """With the buffer that gives it, alone, the order of rows that the sweep has."""
    stream: str
    """Fingerprint of the stream that it would read alone."""
    rows: Rows
    """The rows that it would read alone."""
    labels: Labels | None
    """Labels of residues, for its probe."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Members that are trained on one reading of the store."""

    members: tuple[Member, ...]
    rows: Rows
    """The rows of all their sites."""
    bytes: int
    """Estimated memory: weights, gradients and moments of all members, one step, the buffer, rows held out."""


class _Reading(NamedTuple):
    """What a stream says of itself."""

    facts: StreamFacts
    fill_batches: int
    bytes_per_batch: int
    """Memory of the buffer for each batch of a fill."""
    stream: str


class _Order(NamedTuple):
    """What members need to have in common to read the same batches."""

    batch_rows: int
    order: str
    split: str
    row_seed: int
    width: int


@dataclass(frozen=True, slots=True)
class _Source:
    """Where streams come from, for one sweep."""

    source: str | os.PathLike[str]
    rows: Rows
    options: RunOptions
    device: torch.device
    known: dict[tuple[str, str], Labels] = dataclasses.field(default_factory=dict)
    """Labels that have been read, by file and split."""

    def labels(self, config: TrainConfig) -> Labels | None:
        """Return the labels that a configuration names; each file is read once."""
        if config.labels is None:
            return None
        key = (config.labels, config.split)
        if key not in self.known:
            with self.asking(config).open() as stream:
                self.known[key] = read_labels(config.labels, stream, split=config.split)
        return self.known[key]

    def asking(self, config: TrainConfig, options: RunOptions | None = None) -> Rows:
        """Return the rows that a configuration asks for."""
        plan = plan_rows(self.source, config, options or self.options, device=self.device)
        return dataclasses.replace(self.rows, plan=plan)


def plan_passes(
    members: Mapping[str, TrainConfig],
    rows: Rows,
    options: RunOptions,
    *,
    device: torch.device,
    memory_bytes: int | None,
) -> list[Pass]:
    """Settle every number of a sweep.

    Members that differ in batch_rows, order, split, order_seed or in the width of their sites cannot read the same
    batches, and are read one after the other; so are members that do not fit into memory together.

    Parameters
    ----------
    memory_bytes
        Most memory of a pass; None for four fifths of what is free.

    Raises
    ------
    UsageError, SiteError, StreamError
        If a member does not fit the store; the message names it.
    TrainingError
        If a member does not even fit alone.
    """
    source = _Source(rows.plan.source, rows, options, device)
    groups: dict[_Order, list[tuple[str, TrainConfig, _Reading]]] = {}
    known: dict[tuple[object, ...], _Reading] = {}
    plans: dict[str, TrainPlan] = {}
    labels: dict[str, Labels | None] = {}
    for name, config in members.items():
        key = (config.sites, config.targets, config.batch_rows, config.order, config.split, config.row_seed)
        try:
            reading = known.get(key) or _reading(source.asking(config))
            labels[name] = found = source.labels(config)
            plans[name] = plan_training(config, reading.facts, None if found is None else found.facts)
            check_neighbours(plans[name], rows.manifest)
        except (errors.UsageError, errors.StreamError) as error:
            raise type(error)(f"member {name}: {error}") from error
        known[key] = reading
        order = _Order(config.batch_rows, config.order, config.split, config.row_seed, reading.facts.width)
        groups.setdefault(order, []).append((name, config, reading))
    free = free_bytes(device)
    _refuse_too_large(plans, free=free if memory_bytes is None else memory_bytes)
    most = memory_bytes if memory_bytes is not None else None if free is None else int(_SHARE_OF_FREE * free)
    passes = [one for group in groups.values() for one in _pack(_settle(group, plans, labels, source), source, most)]
    if memory_bytes is not None:
        _refuse_over_limit(passes, memory_bytes)
    return passes


def _reading(rows: Rows) -> _Reading:
    with rows.open() as stream:
        return _Reading(
            StreamFacts.of(stream), stream.batches_per_fill, stream.buffer_bytes_per_batch, stream.cursor.stream
        )


def _refuse_too_large(plans: Mapping[str, TrainPlan], *, free: int | None) -> None:
    said = [
        f"{name} needs at least {needed:,} bytes; {what_fits(plan, free)}"
        for name, plan in plans.items()
        if free is not None and (needed := least_step_bytes(plan)) > free
    ]
    if said:
        raise errors.TrainingError(
            f"{len(said)} of {len(plans)} members do not fit into the {free:,} bytes that there are, even alone: "
            f"{'; '.join(said)}. Nothing was trained"
        )


def _refuse_over_limit(passes: Sequence[Pass], memory_bytes: int) -> None:
    """Refuse passes of one member that are over the limit: others were put into a pass only if it had room."""
    said = [
        f"{', '.join(member.name for member in one.members)} needs {one.bytes:,} bytes by the estimate"
        for one in passes
        if one.bytes > memory_bytes
    ]
    if said:
        raise errors.TrainingError(
            f"--memory-bytes {memory_bytes:,}: {'; '.join(said)}, even alone; allow more, or lower latents, batch_rows "
            "or --buffer-bytes. Nothing was trained"
        )


class _Group(NamedTuple):
    """Members that can read the same batches."""

    members: tuple[Member, ...]
    fill_batches: int
    """Batches of a fill, which decide the order of rows together with the seed."""
    buffer_bytes: int
    """Memory of the buffer if all of them read together."""


def _settle(
    asked: Sequence[tuple[str, TrainConfig, _Reading]],
    plans: Mapping[str, TrainPlan],
    labels: Mapping[str, Labels | None],
    source: _Source,
) -> _Group:
    """Return members with buffers that give all of them, alone, the order that they have together."""
    everything = _reading_all(asked[0][1], [plans[name] for name, _, _ in asked])
    together = _reading(source.asking(everything))
    settled = []
    for name, config, reading in asked:
        options, stream = source.options, reading.stream
        if reading.fill_batches != together.fill_batches:
            options = _buffered(options, reading, together.fill_batches)
            stream = _reading(source.asking(config, options)).stream
        settled.append(Member(name, config, plans[name], options, stream, source.asking(config, options), labels[name]))
    return _Group(tuple(settled), together.fill_batches, together.fill_batches * together.bytes_per_batch)


def _buffered(options: RunOptions, reading: _Reading, fill_batches: int) -> RunOptions:
    """Return options with a buffer for fills of so many batches."""
    return options.model_copy(update={"buffer_bytes": fill_batches * reading.bytes_per_batch})


def _reading_all(config: TrainConfig, plans: Sequence[TrainPlan]) -> TrainConfig:
    """Return a configuration that asks for the sites of all plans."""
    sites = tuple(dict.fromkeys(site for plan in plans for site in plan.sites))
    return config.model_copy(update={"sites": sites, "targets": None})


def _pack(group: _Group, source: _Source, most: int | None) -> list[Pass]:
    """Put each member into the first pass in which there is memory for it."""
    packed: list[list[Member]] = []
    for member in group.members:
        fitting = (one for one in packed if most is None or _bytes_of([*one, member]) + group.buffer_bytes <= most)
        found = next(fitting, None)
        if found is None:
            packed.append([member])
        else:
            found.append(member)
    return [_pass_of(one, group, source) for one in packed]


def _pass_of(members: Sequence[Member], group: _Group, source: _Source) -> Pass:
    config = _reading_all(members[0].config, [member.plan for member in members])
    options, reading = source.options, _reading(source.asking(config))
    if reading.fill_batches != group.fill_batches:
        options = _buffered(options, reading, group.fill_batches)
    needed = _bytes_of(members) + group.fill_batches * reading.bytes_per_batch
    return Pass(tuple(members), source.asking(config, options), needed)


def _bytes_of(members: Sequence[Member]) -> int:
    """Return the memory of a pass beside the buffer."""
    plans = [member.plan for member in members]
    step_bytes = max(least_step_bytes(plan) - state_bytes(plan) for plan in plans)
    held_out = HELD_OUT_BYTES * len({plan.sites for plan in plans})
    return sum(map(state_bytes, plans)) + _STEP_FACTOR * step_bytes + held_out
