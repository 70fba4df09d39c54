"""Read what loggers have written, as their own programs would."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

__all__ = ["curves", "history", "records"]

_BLOCK = 32_768
_HEADER = 7


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalars that TensorBoard shows for a run: pairs of step and value."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def records(run: Path) -> Iterator[Any]:
    """Yield what `wandb sync` would send for a run, in the order of its offline folders, once they are written.

    The files are logs of LevelDB with a header: blocks with records of checksum, length and type (1 whole, 2 first, 3
    middle, 4 last).
    """
    wandb.teardown()  # waits for the process that writes
    for path in sorted(run.glob("wandb/offline-run-*/*.wandb")):
        data, position, parts = path.read_bytes(), _HEADER, b""
        while position + _HEADER <= len(data):
            left = _BLOCK - position % _BLOCK
            if left < _HEADER:
                position += left
                continue
            _, length, kind = struct.unpack("<IHB", data[position : position + _HEADER])
            position += _HEADER
            parts += data[position : position + length]
            position += length
            if kind in {1, 4}:
                record = vars(wandb_internal_pb2)["Record"]()
                record.ParseFromString(parts)
                yield record
                parts = b""


def history(run: Path) -> list[dict[str, Any]]:
    """Return the steps that W&B has of a run, with their metrics."""
    lines = []
    for record in records(run):
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            lines.append({"step": record.history.step.num, **items})
    return lines
