"""What the S3 benchmark reads from: a real gateway with a store in it, and a proxy before it that adds latency."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actstore.access.open import open_objects
from actstore.contracts.progress import Progress
from actstore.contracts.recipe import Recipe
from actstore.extract.task import extract_task
from actstore.store.read.assemble import write_manifest
from actstore.store.write.sequences import StoredSequences
from actstore.store.write.writer import write_task
from actstore.workflows.extraction.prepare import prepare
from benchmarks.contestants.contract import site_name
from benchmarks.data.stream_rows import SyntheticModel
from benchmarks.data.synthetic import SyntheticActivations
from tests.services.faults import FaultProxy, Faults
from tests.services.gateway import Gateway, running

__all__ = ["FULL", "QUICK", "STORES", "Service", "Sizes", "serving"]

STORES: Final = {"float16": ("float16", "none"), "int8_zstd": ("int8", "zstd")}
"""Encoding and compressor."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the data."""

    rows: int
    sites: int
    width: int
    proteins: int
    task_rows: int
    chunk_rows: int
    batch_rows: int


FULL: Final = Sizes(rows=131_072, sites=2, width=1024, proteins=460, task_rows=8192, chunk_rows=256, batch_rows=4096)
QUICK: Final = Sizes(rows=4096, sites=2, width=32, proteins=40, task_rows=1024, chunk_rows=64, batch_rows=256)


@dataclass(frozen=True, slots=True)
class Service:
    """A gateway and the way to it."""

    folder: Path
    gateway: Gateway
    proxy: FaultProxy
    bucket: str

    def options(self, *, latency_s: float) -> dict[str, Any]:
        """Return storage options of the way that has this latency; zero is the gateway itself."""
        if not latency_s:
            return self.gateway.storage_options
        # Once for each request, as a distance does; not for each block of an answer, which would limit the rate.
        self.proxy.faults = Faults(latency_s=latency_s, direction="up")
        return {**self.gateway.storage_options, "endpoint_url": self.proxy.url}

    def uri(self, store: str) -> str:
        """Return the URL of a store."""
        return f"s3://{self.bucket}/{store}"

    def cpu_s(self) -> float:
        """Return the CPU time that gateway and storage daemon have used."""
        ticks = 0
        for name in ("rgw", "osd"):
            process = (self.folder / "run" / f"{name}.pid").read_text().strip()
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(folder: Path, sizes: Sizes, *, progress: Progress) -> Iterator[Service]:
    """Run a gateway that keeps objects in memory, with the stores in it, in an empty folder."""
    with running(folder / "gateway", "memstore") as gateway, FaultProxy(gateway.port) as proxy:
        service = Service(folder / "gateway", gateway, proxy, gateway.new_bucket())
        _write(service, folder / "proteins.fasta", sizes, progress)
        yield service


def _write(service: Service, fasta: Path, sizes: Sizes, progress: Progress) -> None:
    """Extract the same rows into every store, as any extraction to S3 does."""
    model = SyntheticModel(SyntheticActivations(sizes.rows, sizes.sites, sizes.width, sizes.proteins))
    fasta.write_text("".join(f">protein{index}\n{text}\n" for index, text in enumerate(model.residues)))
    stores = {name: open_objects(service.uri(name), service.gateway.storage_options) for name in STORES}
    prepared = {
        name: prepare(objects, _recipe(fasta, sizes, name), model, storage_options=None, progress=progress)
        for name, objects in stores.items()
    }
    first = next(iter(STORES))
    plan = prepared[first].plan
    with (
        StoredSequences(stores[first]) as source,
        progress.stage("writing rows", total=plan.rows, unit="rows") as stage,
    ):
        for index in range(plan.tasks):
            task = plan.task(index)
            rows = extract_task(task, source, model, tokens_per_batch=8192, parallel=map)
            for name, objects in stores.items():
                write_task(objects, prepared[name].frozen, task, rows)
            stage.advance(plan.rows_of(index))
    for objects in stores.values():
        write_manifest(objects, progress=progress)


def _recipe(fasta: Path, sizes: Sizes, store: str) -> Recipe:
    encoding, compressor = STORES[store]
    document: dict[str, Any] = {
        "model": {"name": "synthetic"},
        "corpus": {"sequences": [str(fasta)], "window_residues": 100_000},
        "sites": [site_name(site) for site in range(sizes.sites)],
        "splits": {"fractions": {"train": 1.0}},
        "store": {
            "encoding": encoding,
            "compressor": compressor,
            "task_rows": sizes.task_rows,
            "chunk_rows": sizes.chunk_rows,
        },
    }
    return Recipe.model_validate(document)
