"""Assign GPUs and cores of a machine to its processes, and set how they keep memory."""

from __future__ import annotations

import fcntl
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

__all__ = ["ALLOCATOR", "claim_device", "thread_environment", "visible_gpus", "worker_environments"]

_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_OMP: Final = "OMP_NUM_THREADS"
_THREADS: Final = (_OMP, "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Dask sets all of them for its workers; torch prefers the second to the first."""
ALLOCATOR: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(64 << 20)}
"""The values that glibc itself reaches after large arrays were freed. Nannies of Dask set the second to 64 KiB, which
keeps the first at 128 KiB: every forward pass then returns its tensors to the kernel and requests memory again."""

_claims: dict[Path, int] = {}
"""Descriptors of the locks that this process holds until it ends."""
_claiming: Final = threading.Lock()


def visible_gpus(environ: Mapping[str, str], *, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the CUDA names of the GPUs that a process with this environment may use."""
    if _VISIBLE in environ:
        return tuple(name for part in environ[_VISIBLE].split(",") if (name := part.strip()))
    return tuple(str(index) for index in range(len(list(devices.glob("nvidia[0-9]*")))))


def worker_environments(
    workers: int, *, device: str, gpus: Sequence[str], cores: int, environ: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return what to add to the environment of each worker of one machine.

    With `device = "cuda"` each worker sees one GPU, in turn; with `cuda:1` all use the same one. Cores are divided,
    unless the environment sets the number of threads.

    Examples
    --------
    >>> found = worker_environments(3, device="cuda", gpus=["0", "1"], cores=16, environ={})
    >>> [each["CUDA_VISIBLE_DEVICES"] for each in found], found[0]["OMP_NUM_THREADS"]
    (['0', '1', '0'], '5')
    """
    threads = thread_environment(max(1, cores // workers), environ=environ)
    if device != "cuda" or not gpus:
        return [dict(threads) for _ in range(workers)]
    return [threads | {_VISIBLE: gpus[worker % len(gpus)]} for worker in range(workers)]


def thread_environment(threads: int, *, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set the number of threads of a process, unless the environment sets it.

    As in a process without Dask, `OMP_NUM_THREADS` alone counts for all of them.

    Examples
    --------
    >>> thread_environment(8, environ={"OMP_NUM_THREADS": "1"})["MKL_NUM_THREADS"]
    '1'
    """
    return {name: environ.get(name, environ.get(_OMP, str(threads))) for name in _THREADS}


def claim_device(device: str, *, gpus: Sequence[str], folder: Path | None = None) -> str:
    """Return the device for this process: with `cuda` and several GPUs, one that no other process has claimed.

    The claim is a lock in the folder for temporary files. It ends with the process. The process gets the same device
    each time. If all devices are claimed, two processes share one.
    """
    if device != "cuda" or len(gpus) < 2:
        return device
    folder = folder or Path(tempfile.gettempdir())
    paths = [folder / f"actstore-gpu-{os.getuid()}-{name.replace('/', '_')}" for name in gpus]
    with _claiming:
        for index, path in sorted(enumerate(paths), key=lambda each: each[1] not in _claims):
            if path in _claims or _lock(path):
                return f"cuda:{index}"
    return f"cuda:{os.getpid() % len(gpus)}"


def _lock(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    _claims[path] = descriptor
    return True
