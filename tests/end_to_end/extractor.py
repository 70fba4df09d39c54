"""An extractor in a process of its own, to be killed: the real workflow with a model that costs nothing.

Processes are forked from a server that has imported everything once, so that each starts at once.
"""

import multiprocessing
import os
import signal
import tempfile
from multiprocessing.process import BaseProcess
from pathlib import Path

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import ModelRecipe, Recipe
from actstore.store.write.frozen_recipe import FrozenRecipe
from actstore.testing.fake_model import FakeModel
from actstore.workflows.clusters.connect import LocalWorkers
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extract import extract_on, extract_with
from actstore.workflows.extraction.deadline import Stop

__all__ = ["acknowledged", "kill", "load_fake", "start", "start_with_workers"]

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    # pyarrow imports pandas when it makes the first array.
    ["actstore.workflows.extract", "actstore.workflows.clusters.executor", "pandas", __name__]
)


class _Acknowledging(LocalObjects):
    """Tells of every commit once it is there."""

    def __init__(self, root: Path, log: Path) -> None:
        super().__init__(root)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def put_new(self, path: str, data: bytes) -> bool:
        created = super().put_new(path, data)
        if path.startswith("commits/"):
            os.write(self._log, f"{path}\n".encode())
        return created


def start(recipe: Recipe, store: Path, log: Path) -> BaseProcess:
    """Begin or continue a store; the paths of commits that are known to be there are appended to a log."""
    process = _SERVER.Process(target=_run, args=(recipe.model_dump(mode="json"), store, log))
    process.start()
    return process


def start_with_workers(recipe: Recipe, store: Path, temporary: Path) -> BaseProcess:
    """Begin or continue a store on two Dask workers, processes of the process that is returned."""
    process = _SERVER.Process(target=_run_with_workers, args=(recipe.model_dump(mode="json"), store, temporary))
    process.start()
    return process


def kill(process: BaseProcess) -> bool:
    """Kill a process with SIGKILL; return whether that is what ended it."""
    process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def acknowledged(log: Path) -> set[str]:
    """Return the commits of which the extractor has said that they are there."""
    return set(log.read_text().splitlines()) if log.exists() else set()


def _run(recipe: dict[str, object], store: Path, log: Path) -> None:
    extract_with(FakeModel(), _Acknowledging(store, log), Recipe.model_validate(recipe))


def _run_with_workers(document: dict[str, object], store: Path, temporary: Path) -> None:
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    recipe, objects = Recipe.model_validate(document), LocalObjects(store)
    extract_with(FakeModel(), objects, recipe, stop=Stop(after_s=0))
    extract_on(LocalWorkers(2), objects, order=WorkOrder(str(store), None, recipe.model, "cpu", load_fake))


def load_fake(_frozen: FrozenRecipe, _model: ModelRecipe, _device: str) -> FakeModel:
    """Load the model of a worker."""
    return FakeModel()
