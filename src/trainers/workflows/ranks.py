"""The processes of a run on many devices, as `torchrun` starts them, and the rows that each of them reads."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

import torch

from actstore import Seat, errors
from trainers.workflows.device import choose_device

__all__ = ["ALONE", "TIMEOUT", "Ranks", "joined"]

TIMEOUT: Final = timedelta(minutes=30)
"""Time that a rank waits for the others: longer than a checkpoint or a scoring takes."""
_VARIABLES: Final = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Which of how many processes this is."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among the processes of this machine."""
    local_size: int = 1
    """Processes of this machine, the same number on each."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what `torchrun` says; one process without it.

        Raises
        ------
        UsageError
            If the variables do not belong together.

        Examples
        --------
        >>> Ranks.of_environment({}).size
        1
        """
        if environment.get("WORLD_SIZE", "1") == "1":
            return cls()
        found = {name: environment[name] for name in _VARIABLES if name in environment}
        try:
            rank, size, local_rank, local_size = (int(found[name]) for name in _VARIABLES)
        except (KeyError, ValueError):
            rank = size = local_rank = local_size = -1
        if not (0 <= rank < size and 0 <= local_rank < local_size <= size and size % local_size == 0):
            shown = ", ".join(f"{name}={value}" for name, value in found.items())
            raise errors.UsageError(
                f"the environment has {shown}, which does not say which of how many processes this is; start the "
                "trainer with torchrun, which sets " + ", ".join(_VARIABLES) + ", or unset WORLD_SIZE"
            )
        return cls(rank=rank, size=size, local_rank=local_rank, local_size=local_size)

    @property
    def several(self) -> bool:
        """Whether there is more than one process."""
        return self.size > 1

    @property
    def first(self) -> bool:
        """Whether this process writes the folder of the run, shows progress and prints the result."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """Return the device of this process.

        Raises
        ------
        UsageError
            If there is no such device here, or not one for each process.
        """
        device = choose_device(name)
        if not self.several or device.type != "cuda":
            return device
        if ":" in name:
            raise errors.UsageError(
                f"--device {name}: each of {self.local_size} processes has a GPU of its own; give --device cuda, and "
                "choose GPUs with CUDA_VISIBLE_DEVICES"
            )
        if (devices := torch.cuda.device_count()) < self.local_size:
            raise errors.UsageError(
                f"{self.local_size} processes on this machine, and {devices} CUDA devices; start as many processes as "
                f"there are devices (torchrun --nproc-per-node {devices}), or give --device cpu"
            )
        return torch.device("cuda", self.local_rank)

    def rows_of_rank(self, batch_rows: int, *, parts: int) -> int:
        """Return the rows of a batch that each process reads.

        Raises
        ------
        UsageError
            If the batch cannot be divided evenly among processes and passes.
        """
        passes = self.size * parts
        if passes > 1 and batch_rows % passes:
            nearest = max(1, round(batch_rows / passes)) * passes
            among = f"{self.size} processes x --accumulate {parts}" if self.several else f"--accumulate {parts} passes"
            raise errors.UsageError(
                f"--batch-rows {batch_rows} is the batch of one update, and cannot be divided evenly among {among}; "
                f"give a multiple of {passes}, such as {nearest}"
            )
        return batch_rows // self.size

    @property
    def seat(self) -> Seat:
        """The share of the rows that this process reads."""
        return Seat(self.rank, self.size)


ALONE: Final = Ranks()


@contextmanager
def joined(ranks: Ranks, device: torch.device) -> Iterator[None]:
    """Join the other processes until the end of the block; messages of errors then say which process has them.

    Raises
    ------
    UsageError
        If Lightning Fabric is not installed.
    """
    if not ranks.several:
        yield
        return
    _join(ranks, device)
    try:
        yield
    except (errors.TrainingError, errors.StreamError, errors.StoreError, errors.UsageError) as error:
        raise type(error)(f"rank {ranks.rank} of {ranks.size}: {error}") from error
    torch.distributed.destroy_process_group()


def _join(ranks: Ranks, device: torch.device) -> None:
    """Start a process group with Lightning Fabric, which knows devices and back ends; the group itself is torch's."""
    try:
        from lightning_fabric import Fabric  # noqa: PLC0415 - takes seconds, and is needed for several processes only
        from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment  # noqa: PLC0415
        from lightning_fabric.strategies.ddp import DDPStrategy  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise errors.UsageError(
            f"WORLD_SIZE={ranks.size}: several processes need Lightning Fabric ({error.name} is missing); "
            "install it with pip install 'actstore[devices]'"
        ) from error
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device.type,
        devices=ranks.local_size,
        num_nodes=ranks.size // ranks.local_size,
        strategy=DDPStrategy(process_group_backend="nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT),
        plugins=[TorchElasticEnvironment()],
    )
    fabric.launch()
