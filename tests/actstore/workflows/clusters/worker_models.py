"""Models that workers load by name: they tell which process they run in, and do as a folder says.

The folder is the name of the model in the recipe.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import ModelRecipe
from actstore.errors import ModelError
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.testing.fake_model import FakeModel

__all__ = [
    "load_broken",
    "load_deadly",
    "load_defective",
    "load_fake",
    "load_infinite",
    "load_patient",
    "load_slow",
    "processes",
]

_LONGEST_S = 120


def processes(folder: Path) -> set[int]:
    """Return the processes in which a model of this folder ran."""
    return {int(path.suffix[1:]) for path in folder.glob("process.*")}


def wait_for(folder: Path, name: str) -> None:
    """Wait until a file is there."""
    deadline_s = time.monotonic() + _LONGEST_S
    while not any(folder.glob(name)):
        assert time.monotonic() < deadline_s, name
        time.sleep(0.01)


class _Telling(FakeModel):
    def __init__(self, model: ModelRecipe) -> None:
        super().__init__(sites=["embed", "final_norm"])
        self.folder = Path(model.name)
        loads = self.folder / f"loads.{os.getpid()}"
        loads.write_text(loads.read_text() + "+" if loads.exists() else "+")

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        (self.folder / f"process.{os.getpid()}").touch()
        self.before_batch()
        return super().activations(residues, kept)

    def before_batch(self) -> None:
        """Do what is peculiar to this model."""


class _Deadly(_Telling):
    def before_batch(self) -> None:
        """Die with a task half done, if no other process has."""
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches < 6:
            return
        try:
            (self.folder / "killed").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


class _Patient(_Telling):
    def before_batch(self) -> None:
        """Wait until two processes have work."""
        deadline_s = time.monotonic() + _LONGEST_S
        while len(processes(self.folder)) < 2:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)


class _Slow(_Telling):
    def before_batch(self) -> None:
        """Wait until somebody says go, after the first few batches."""
        self.batches = getattr(self, "batches", 0) + 1
        if self.batches > 4:
            (self.folder / "waiting").touch()
            wait_for(self.folder, "go")


class _Infinite(_Telling):
    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        values = dict(super().activations(residues, kept))
        values["final_norm"][-1, 3] = np.inf
        return values


class _Defective(_Telling):
    def before_batch(self) -> None:
        raise ZeroDivisionError("a defect")


def load_fake(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Telling(model)


def load_deadly(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Deadly(model)


def load_patient(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Patient(model)


def load_slow(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Slow(model)


def load_infinite(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Infinite(model)


def load_defective(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    return _Defective(model)


def load_broken(_frozen: FrozenRecipe, model: ModelRecipe, _device: str) -> FakeModel:
    raise ModelError(f"{model.name}: weights are damaged")
