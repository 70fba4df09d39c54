"""Extraction on real worker processes: one is killed in mid-task, one joins late, and the bytes are always the same."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import ActstoreError, ModelError, NumericsError, UsageError, WorkerError
from actstore.store.write.commit import committed_tasks
from actstore.store.write.frozen_recipe import load_frozen
from actstore.testing.fake_model import FakeModel
from actstore.view.reports import ExtractReport
from actstore.workflows.clusters import worker as dask_worker
from actstore.workflows.clusters.connect import Cluster, ExistingScheduler, LocalWorkers
from actstore.workflows.clusters.work_order import WorkOrder
from actstore.workflows.extract import extract_on, extract_with
from actstore.workflows.extraction.deadline import Stop
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.clusters import worker_models
from tests.actstore.workflows.clusters.dask_processes import Scheduler, scheduler
from tests.actstore.workflows.stores import contents

RecipeOf = Callable[..., Recipe]
FAKE = FakeModel(sites=["embed", "final_norm"])

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Asked:
    """A recipe whose model does as a folder says, and stores of it."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self.control = Path(recipe.model.name)
        self.store = folder / "store"
        self._whole = folder / "whole"

    def begin(self) -> LocalObjects:
        """Begin the store and do no task."""
        extract_with(FAKE, LocalObjects(self.store), self.recipe, stop=Stop(after_s=0))
        return LocalObjects(self.store)

    def on(self, cluster: Cluster, load: Any = worker_models.load_fake, stop: Stop | None = None) -> ExtractReport:
        """Do the tasks on a cluster."""
        objects = LocalObjects(self.store) if self.store.exists() else self.begin()
        return extract_on(cluster, objects, order=self.order(load), stop=stop)

    def order(self, load: Any) -> WorkOrder:
        return WorkOrder(str(self.store), {"secret": "hush-hush-hush"}, self.recipe.model, "cpu", load)

    def whole(self) -> dict[str, bytes]:
        """Return what one process makes of it."""
        extract_with(FAKE, LocalObjects(self._whole), self.recipe)
        return contents(self._whole)


@pytest.fixture
def asked(recipe_of: RecipeOf, tmp_path: Path) -> Asked:
    control = tmp_path / "control"
    control.mkdir()
    model = {"name": str(control), "tokens_per_batch": 256}
    return Asked(recipe_of(model=model, **{"store.task_rows": 512}), tmp_path)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    with scheduler(tmp_path_factory.mktemp("dask")) as running:
        running.add_worker()
        running.add_worker()
        running.wait_for_workers(2)
        yield running


def failure(asked: Asked, cluster: Cluster, load: Any) -> ActstoreError:
    with pytest.raises(ActstoreError) as caught:
        asked.on(cluster, load)
    return caught.value


class TestLocalWorkers:
    def test_one_is_killed_in_mid_task_and_the_store_is_the_one_of_a_serial_run(self, asked: Asked) -> None:
        report = asked.on(LocalWorkers(2), worker_models.load_deadly)
        assert (asked.control / "killed").exists()
        assert len(worker_models.processes(asked.control)) >= 2
        assert report.complete
        assert (report.tasks_left, report.stopped, report.workers) == (0, None, 2)
        assert contents(asked.store) == asked.whole()

    def test_the_command_line_with_a_real_model(self, few_fasta: Path, esm2_tiny: Path, tmp_path: Path) -> None:
        options = [
            f"--model={esm2_tiny}", f"--sequences={few_fasta}", "--site=resid_post.*", "--set=store.task_rows=512",
            "--set=store.calibration_sequences=2", "--json",
        ]  # fmt: skip
        serial = actstore("extract", *options, f"--store={tmp_path / 'serial'}")
        assert serial.code == 0, serial.err
        done = actstore("extract", *options, f"--store={tmp_path / 'dask'}", "--executor=dask", "--workers=2")
        assert done.code == 0, done.err
        assert done.document["complete"]
        assert done.document["rows_extracted"] == done.document["rows"]
        assert f"extracting: {done.document['rows']:,} of {done.document['rows']:,} rows" in done.err
        assert contents(tmp_path / "dask") == contents(tmp_path / "serial")


class TestAScheduler:
    def test_each_worker_loads_the_model_once_and_keeps_nothing(self, asked: Asked, two_workers: Scheduler) -> None:
        report = asked.on(ExistingScheduler(two_workers.address), worker_models.load_patient)
        assert report.complete
        assert report.tasks_total > 10
        loads = {path.name: path.read_text() for path in asked.control.glob("loads.*")}
        assert len(loads) == 2
        assert all(each == "+" for each in loads.values())
        assert contents(asked.store) == asked.whole()
        with Client(two_workers.address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
            assert set(client.run(_jobs_here).values()) == {0}
        assert "hush-hush-hush" not in two_workers.logs

    def test_a_worker_that_joins_late_gets_work(self, asked: Asked, tmp_path: Path) -> None:
        with scheduler(tmp_path) as running, ThreadPoolExecutor(1) as pool:
            running.add_worker()
            run: Future[ExtractReport] = pool.submit(
                asked.on, ExistingScheduler(running.address), worker_models.load_patient
            )
            worker_models.wait_for(asked.control, "process.*")
            assert len(worker_models.processes(asked.control)) == 1
            running.add_worker()
            report = run.result()
        assert report.complete
        assert report.workers == 2
        assert len(worker_models.processes(asked.control)) == 2
        assert contents(asked.store) == asked.whole()

    @pytest.mark.parametrize("load", [worker_models.load_infinite, worker_models.load_broken])
    def test_what_is_wrong_with_the_data_is_said_as_in_one_process(
        self, load: Any, asked: Asked, two_workers: Scheduler
    ) -> None:
        error = failure(asked, ExistingScheduler(two_workers.address), load)
        if load is worker_models.load_broken:
            assert isinstance(error, ModelError)
            assert str(error) == f"{asked.control}: weights are damaged"
        else:
            assert isinstance(error, NumericsError)
            objects = LocalObjects(asked.store)
            with pytest.raises(NumericsError) as serial:
                extract_with(load(load_frozen(objects), asked.recipe.model, "cpu"), objects, None)
            # Which of the first tasks is the first to fail is not determined with two workers.
            parts = (str(failed).partition(", ")[2] for failed in (error, serial.value))
            assert len(set(parts)) == 1 or "site final_norm: inf" in str(error)
        assert "Traceback" not in two_workers.logs

    def test_a_defect_is_no_error_of_the_project(self, asked: Asked, two_workers: Scheduler) -> None:
        with pytest.raises(ZeroDivisionError, match="a defect"):
            asked.on(ExistingScheduler(two_workers.address), worker_models.load_defective)

    def test_a_request_to_stop_drops_what_is_in_the_models_and_is_continued(
        self, asked: Asked, two_workers: Scheduler
    ) -> None:
        stop = Stop()
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(asked.on, ExistingScheduler(two_workers.address), worker_models.load_slow, stop)
            worker_models.wait_for(asked.control, "waiting")
            stop.request()
            (asked.control / "go").touch()
            stopped = run.result()
        assert stopped.stopped == "request"
        assert not stopped.complete
        assert 0 < stopped.tasks_left == stopped.tasks_total - len(committed_tasks(LocalObjects(asked.store)))
        assert not (asked.store / "manifest.json").exists()
        continued = asked.on(ExistingScheduler(two_workers.address))
        assert continued.tasks_before == stopped.tasks_done
        assert contents(asked.store) == asked.whole()

    def test_a_worker_with_another_torch_is_named_with_the_versions(self, asked: Asked, tmp_path: Path) -> None:
        stale = (
            "import importlib.metadata as metadata; real = metadata.version\n"
            "metadata.version = lambda name: '1.0' if name == 'torch' else real(name)"
        )
        with scheduler(tmp_path) as running:
            running.add_worker(before=stale)
            error = failure(asked, ExistingScheduler(running.address), worker_models.load_fake)
        assert isinstance(error, WorkerError)
        assert "torch 1.0 instead of " in str(error)
        assert "install the same versions there" in str(error)

    def test_a_worker_without_actstore_is_an_error(self, asked: Asked, tmp_path: Path) -> None:
        with scheduler(tmp_path) as running:
            running.add_worker(before="import sys; sys.modules['actstore'] = None")
            running.wait_for_workers(1)
            error = failure(asked, ExistingScheduler(running.address), worker_models.load_fake)
        assert isinstance(error, WorkerError)
        assert "the workers cannot run actstore" in str(error)

    def test_no_scheduler_is_an_error(self, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("actstore.workflows.clusters.connect._CONNECT_S", 0.5)
        error = failure(asked, ExistingScheduler("tcp://127.0.0.1:9"), worker_models.load_fake)
        assert isinstance(error, WorkerError)
        assert "tcp://127.0.0.1:9: no Dask scheduler answers" in str(error)
        assert isinstance(failure(asked, ExistingScheduler("nonsense://x"), worker_models.load_fake), UsageError)


def _jobs_here() -> int:
    return len(dask_worker._works)
