"""Programs on several gloo processes, as many as a training run has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from actstore import Batch
from actstore.testing.memory_stream import MemoryStream

REPOSITORY = Path(__file__).resolve().parents[2]
_BEGIN = "from tests.trainers.ranked import *\nimport json, torch\nrank, say = begin()\n"


def begin() -> tuple[int, Any]:
    """Join the others; return the rank of this process, and how it says its result."""
    torch.set_num_threads(1)
    rank, size, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    distributed.init_process_group(
        "gloo", init_method=f"file://{place}", rank=rank, world_size=size, timeout=timedelta(seconds=60)
    )
    return rank, lambda result: sys.stdout.write(json.dumps(result) + "\n")


def on_ranks(program: str, folder: Path, *, ranks: int = 2) -> list[Any]:
    """Run a program in several processes, which has `rank` and calls `say` once; return what each said."""
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY)]),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _BEGIN + program, str(rank), str(ranks), str(folder / "meet")],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]
    said = [process.communicate(timeout=200) for process in started]
    assert [process.returncode for process in started] == [0] * ranks, said
    return [json.loads(out) for out, _ in said]


class Shared(MemoryStream):
    """Every other row of each batch of a `MemoryStream`: the batches of all ranks make its batches."""

    def __iter__(self) -> Iterator[Batch]:
        rank, size = distributed.get_rank(), distributed.get_world_size()
        for batch in super().__iter__():
            yield Batch(*(np.ascontiguousarray(column[rank::size]) for column in batch))
