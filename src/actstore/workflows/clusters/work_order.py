"""The information that a worker needs to do tasks of a store, and the loading of its model."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from actstore.contracts.models import ActivationModel
from actstore.contracts.recipe import ModelRecipe
from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["WorkOrder", "device_on_worker", "load_on_worker"]


def device_on_worker(name: str) -> str:
    """Return the device that a name means on this machine."""
    chosen: str = importlib.import_module("actstore.extract.device").choose_device(name) if name == "auto" else name
    return chosen


def load_on_worker(frozen: FrozenRecipe, model: ModelRecipe, device: str) -> ActivationModel:
    """Load the model of a store."""
    # Imported here: the scheduler imports this module too, and does not need PyTorch.
    stored_model = importlib.import_module("actstore.workflows.extraction.stored_model")
    loaded: ActivationModel = stored_model.load_stored_model(frozen, model, device=device)
    return loaded


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """Where the store is, and what else workers need to do its tasks."""

    store: str
    storage_options: Mapping[str, Any] | None = field(repr=False)
    """May hold credentials, so only workers get them."""
    model: ModelRecipe
    device: str
    """As the user named it: `auto` is decided by each worker."""
    load: Callable[[FrozenRecipe, ModelRecipe, str], ActivationModel] = load_on_worker
    """Loads `model` for the recipe of the store, on a device; sent by name."""
