"""What every contestant of the stream benchmark is told and has to do.

Imports NumPy alone, since annbatch runs in an interpreter of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "FULL",
    "QUICK",
    "SCALES",
    "WORKLOADS",
    "Contestant",
    "Delivered",
    "Scale",
    "Setting",
    "Variant",
    "Workload",
    "site_name",
]

WORKLOADS: Final = ("one_site", "six_sites")
_LEAST_BUFFER: Final = 64 << 20
_BUFFER_SHARE: Final = 0.05


def site_name(site: int) -> str:
    """Return the name of a site in the stores."""
    return f"resid_post.{site}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the data."""

    rows: int
    sites: int
    width: int
    proteins: int
    task_rows: int
    chunk_rows: int
    one_site_batch: int
    all_sites_batch: int
    least_buffer: int = _LEAST_BUFFER
    min_seconds: float = 1.0
    """A measurement is as many whole epochs as it takes to pass this."""


FULL: Final = Scale(
    rows=200_000,
    sites=6,
    width=1024,
    proteins=700,
    task_rows=16_384,
    chunk_rows=256,
    one_site_batch=4096,
    all_sites_batch=1024,
)
QUICK: Final = Scale(
    rows=6_000,
    sites=6,
    width=32,
    proteins=60,
    task_rows=1024,
    chunk_rows=64,
    one_site_batch=512,
    all_sites_batch=128,
    least_buffer=1 << 18,
    min_seconds=0.0,
)
SCALES: Final = MappingProxyType({"full": FULL, "quick": QUICK})


@dataclass(frozen=True, slots=True)
class Workload:
    """Batches of `batch_rows` rows of the first `sites` sites."""

    name: str
    sites: int
    width: int
    rows: int
    batch_rows: int
    buffer_bytes: int
    """Memory for encoded rows of a shuffle buffer, or both of two: the same for all contestants that have one."""

    @property
    def columns(self) -> int:
        """X, values of a row of all sites."""
        return self.sites * self.width

    @classmethod
    def of(cls, name: str, scale: Scale) -> Workload:
        """Return `one_site` or `six_sites` at a scale; the buffer is 5 % of the float16 rows, at least 64 MiB."""
        sites = 1 if name == "one_site" else scale.sites
        batch_rows = scale.one_site_batch if name == "one_site" else scale.all_sites_batch
        stored = scale.rows * sites * scale.width * 2
        buffer_bytes = max(int(stored * _BUFFER_SHARE), scale.least_buffer)
        return cls(name, sites, scale.width, scale.rows, batch_rows, buffer_bytes)


class Setting(NamedTuple):
    """Where the data lies, and what is asked of a contestant."""

    folder: Path
    scale: Scale
    workload: Workload
    seed: int

    def own_folder(self, name: str) -> Path:
        """Return the folder of a contestant's own copy of the rows for this workload."""
        return self.folder / name / self.workload.name

    def flat(self) -> NDArray[np.float16]:
        """Return the rows of the workload in stored order, float16 [N, X], as a memory map of one flat file."""
        return np.load(self.folder / "flat" / f"{self.workload.name}.npy", mmap_mode="r")  # type: ignore[no-any-return]

    def sequence_N(self) -> NDArray[np.int64]:
        """Return the sequence of each row."""
        return np.load(self.folder / "sequence.npy")  # type: ignore[no-any-return]


class Delivered(NamedTuple):
    """A batch as the consumer gets it."""

    values_BX: Any
    """float32 [B, ...], a NumPy array or a tensor on the CPU; valid until two more batches have been asked for."""
    row_B: NDArray[np.int64] | None
    """Stored row of each, as it came with the data; None where bytes are only read."""


Variant = dict[str, Any]
"""One way of using a contestant: number of threads, block size and the like."""


class Contestant(Protocol):
    """A way to feed a trainer."""

    @property
    def rows(self) -> int:
        """Rows of an epoch: all, or the first so many for contestants that would take too long."""
        ...

    @property
    def variants(self) -> Sequence[Variant]:
        """The ways of using it among which the fastest is chosen by trial; one if there is nothing to choose."""
        ...

    def use(self, variant: Variant) -> None:
        """Take one of them from the next epoch on."""
        ...

    def epoch(self, number: int) -> Generator[Delivered]:
        """Yield every row once, in the order of this epoch. May be closed before its end."""
        ...

    @property
    def holds_buffer(self) -> bool:
        """Whether encoded rows are held in a buffer of the workload's size."""
        ...

    def close(self) -> None:
        """Release everything."""
        ...
