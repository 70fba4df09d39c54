"""What the S3 benchmark reads from: a real gateway with a store in it, and a proxy before it that adds latency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actstore.access.open import open_objects
from actstore.contracts.progress import Progress
from benchmarks.data.synthetic import SyntheticActivations
from benchmarks.data.synthetic_stores import SyntheticModel, recipe_of, write_fasta, write_stores
from benchmarks.recording.processes import process_cpu_s
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

    def processes(self) -> list[int]:
        """Return gateway, storage daemon and monitor, which are no children of this process."""
        return [int((self.folder / "run" / f"{name}.pid").read_text()) for name in ("rgw", "osd", "mon")]

    def cpu_s(self) -> float:
        """Return the CPU time that gateway and storage daemon have used."""
        return sum(map(process_cpu_s, self.processes()[:2]))


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
    write_fasta(fasta, model)
    stores = {name: open_objects(service.uri(name), service.gateway.storage_options) for name in STORES}
    recipes = {
        name: recipe_of(
            fasta,
            sites=sizes.sites,
            encoding=encoding,
            compressor=compressor,
            task_rows=sizes.task_rows,
            chunk_rows=sizes.chunk_rows,
        )
        for name, (encoding, compressor) in STORES.items()
    }
    for _ in write_stores(stores, recipes, model, progress=progress):
        pass
