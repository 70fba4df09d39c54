"""Plans, states and training runs on rows in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actstore.testing.memory_stream import MemoryStream, moments_of
from trainers.dictionaries.table import DICTIONARIES
from trainers.fit.config import TrainConfig
from trainers.fit.initialise import start
from trainers.fit.loop import Trained, train
from trainers.fit.plan import StreamFacts, TrainPlan, plan_training
from trainers.fit.rows.drawn import run_inputs
from trainers.fit.state import TrainState
from trainers.fit.terms.labels import Labels
from trainers.save.record import Origin, SiteRecord

CPU = torch.device("cpu")


def stream_of(values_NSD: NDArray[np.float32], **options: Any) -> MemoryStream:
    sites = tuple(f"resid_post.{s}" for s in range(values_NSD.shape[1]))
    return MemoryStream(values_NSD, sites, **options)


def plan_of(stream: MemoryStream, labels: Any = None, **options: Any) -> TrainPlan:
    facts = None if labels is None else labels.facts
    return plan_training(TrainConfig.model_validate(options), StreamFacts.of(stream), facts)


def needed_by(name: str) -> dict[str, Any]:
    """Return the options that a dictionary needs: for rows of one site, or of three if it reads or writes several."""
    to_another = DICTIONARIES[name].one_site and DICTIONARIES[name].takes_targets
    return {"dictionary": name} | ({"sites": "resid_post.0", "targets": "resid_post.2"} if to_another else {})


def state_of(stream: MemoryStream, plan: TrainPlan, labels: Labels | None = None) -> TrainState:
    moments = moments_of(stream.values_NSD, stream.sites)
    return start(plan, run_inputs(plan, moments, stream.values_NSD), device=CPU, labels=labels)


def train_on(stream: MemoryStream, labels: Any = None, **options: Any) -> tuple[TrainState, list[Trained]]:
    """Train to the end and return the state and every step."""
    plan = plan_of(stream, labels, **options)
    state = state_of(stream, plan, labels)
    return state, list(train(state, stream, plan))


def origin_of(stream: MemoryStream) -> Origin:
    return Origin(
        manifest_sha256="0" * 64,
        encoding="float16",
        model="memory",
        model_revision=None,
        model_dtype="float32",
        weights_sha256="1" * 64,
        sites=tuple(SiteRecord(name=site, module=f"layer.{site}", width=stream.width) for site in stream.sites),
    )
