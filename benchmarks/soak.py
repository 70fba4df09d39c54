"""Consumers come and go for an hour; memory must stay flat, and no thread, file or mapping be left behind.

    python -m benchmarks.soak [--minutes 60] [--seed 0]

Every round opens a stream in one of the ways there are (orders, paths, sites, seats), reads for a while and ends it in
one of the ways there are: at the end of the epoch, in the middle, by an error of the consumer, from another thread.
In every tenth round the consumer is a process that is killed with SIGKILL at random moments and started again from its
last cursor, until its epoch is over; every row must have come exactly once.
Writes `benchmarks/results/soak.json`.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from actstore import Cursor, Seat, Stream, open_stream
from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.testing.proteins import synthetic_proteins, write_fasta
from actstore.workflows.extract import extract_with
from benchmarks.recording.report import Recording, add_look_only

__all__ = ["Footing", "SoakReport", "main", "make_stores", "soak"]

_ROUNDS_BETWEEN_KILLS: Final = 10
_BATCH_ROWS: Final = 256
_BUFFER_BYTES: Final = 1 << 20
_CONSUMER: Final = "import sys; from benchmarks.soak import consume; consume(sys.argv[1], sys.argv[2])"


class ConsumerError(Exception):
    """What a consumer dies of."""


class Footing(NamedTuple):
    """What this process holds between two rounds."""

    memory_bytes: int
    """Resident memory that is not a file's."""
    threads: int
    """Of streams."""
    descriptors: int
    mappings: int
    """Files of the store that are mapped."""


class SoakReport(NamedTuple):
    """What an hour of it left behind."""

    seconds: float
    rounds: int
    rows: int
    kills: int
    """SIGKILLs that consumers were sent."""
    epochs_after_kills: int
    """Epochs that killed consumers finished, every row exactly once."""
    memory_growth_bytes: int
    """Median of the last quarter of the rounds over that of the second."""
    memory_most_bytes: int
    threads_left: int
    descriptors_left: int
    """More than after the first quarter."""
    mappings_left: int


def make_stores(folder: Path) -> list[str]:
    """Make the same small store three times: plain, compressed, and in the memory of this process."""
    fasta = folder / "proteins.fasta"
    write_fasta(fasta, synthetic_proteins(families=30, members=3, seed=1))
    for compressor in ("none", "zstd"):
        document: dict[str, Any] = {
            "model": {"name": "fake"},
            "corpus": {"sequences": [str(fasta)]},
            "store": {"task_rows": 4096, "compressor": compressor},
        }
        extract_with(FakeModel(), LocalObjects(folder / compressor), Recipe.model_validate(document))
    plain, remote = LocalObjects(folder / "none"), open_objects("memory://soak")
    for path in plain.sizes():
        remote.put(path, plain.get(path))
    return [str(folder / "none"), str(folder / "zstd"), "memory://soak"]


def soak(folder: Path, *, seconds: float, seed: int) -> SoakReport:
    """Open, read and end streams for a while."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    stores = make_stores(folder)
    began = time.monotonic()
    footings: list[Footing] = []
    rows = kills = epochs = 0
    while time.monotonic() - began < seconds or len(footings) < 8:
        if len(footings) % _ROUNDS_BETWEEN_KILLS == _ROUNDS_BETWEEN_KILLS - 1:
            kills += _kill_a_consumer(folder, stores[0], rng)
            epochs += 1
        else:
            rows += _consume_and_end(rng.choice(stores), rng)
        gc.collect()
        footings.append(_footing(folder))
    quarter = len(footings) // 4
    early, late = footings[quarter : 2 * quarter], footings[-quarter:]
    growth = np.median([each.memory_bytes for each in late]) - np.median([each.memory_bytes for each in early])
    return SoakReport(
        seconds=time.monotonic() - began,
        rounds=len(footings),
        rows=rows,
        kills=kills,
        epochs_after_kills=epochs,
        memory_growth_bytes=int(growth),
        memory_most_bytes=max(each.memory_bytes for each in footings),
        threads_left=footings[-1].threads,
        descriptors_left=footings[-1].descriptors - footings[quarter].descriptors,
        mappings_left=footings[-1].mappings,
    )


def consume(store: str, folder: str) -> None:
    """Read an epoch, keeping rows and position on disk after every batch; go on where the last one was killed."""
    rows_file, place_file = Path(folder) / "rows", Path(folder) / "place.json"
    place: dict[str, Any] = {"bytes": 0, "cursor": None}
    if place_file.exists():
        place = json.loads(place_file.read_text())
    with open_stream(store, batch_rows=_BATCH_ROWS, buffer_bytes=_BUFFER_BYTES, kernels="numpy") as stream:
        if place["cursor"] is not None:
            stream.seek(Cursor.from_json(place["cursor"]))
        with rows_file.open("ab") as file:
            file.truncate(place["bytes"])
            while stream.cursor.epoch == 0:
                for batch in stream:
                    file.write(batch.row_B.tobytes())
                    file.flush()
                    place = {"bytes": place["bytes"] + batch.row_B.nbytes, "cursor": stream.cursor.to_json()}
                    partial = place_file.with_suffix(".partial")
                    partial.write_text(json.dumps(place))
                    partial.replace(place_file)
                    time.sleep(0.01)  # or there would be no middle in which to be killed


def _consume_and_end(store: str, rng: random.Random) -> int:
    """Read a random number of batches and end the stream in a random way; return the rows read."""
    orders = ["windows", "uniform"] if store.endswith("none") else ["windows"]
    world_size = rng.choice([1, 1, 2, 3])
    order: Any = rng.choice(orders)
    device = rng.choice([None, "cpu"]) if order == "windows" else None
    stream = open_stream(
        store,
        sites=rng.choice([None, ["embed"], ["resid_post.*"]]),
        batch_rows=_BATCH_ROWS,
        buffer_bytes=_BUFFER_BYTES,
        order=order,
        seed=rng.randrange(1000),
        seat=Seat(rng.randrange(world_size), world_size),
        device=device,
    )
    return rng.choice(_ENDINGS)(stream, rng.randrange(1, stream.batches_per_epoch))


def _at_the_end(stream: Stream, batches: int) -> int:
    with stream:
        return sum(len(batch.row_B) for batch in stream) + _taken(stream, batches)


def _in_the_middle(stream: Stream, batches: int) -> int:
    with stream:
        return _taken(stream, batches)


def _after_a_seek(stream: Stream, batches: int) -> int:
    with stream:
        cursor = stream.cursor
        rows = _taken(stream, batches)
        stream.seek(cursor)
        return rows + _taken(stream, batches)


def _by_an_error(stream: Stream, batches: int) -> int:
    rows = 0
    try:
        with stream:
            rows = _taken(stream, batches)
            raise ConsumerError  # noqa: TRY301 - as a consumer would
    except ConsumerError:
        return rows


def _from_another_thread(stream: Stream, batches: int) -> int:
    iteration: Iterator[Any] = iter(stream)
    rows = sum(len(batch.row_B) for batch in islice(iteration, batches))
    closer = threading.Thread(target=stream.close)
    closer.start()
    closer.join()
    return rows


def _taken(stream: Stream, batches: int) -> int:
    return sum(len(batch.row_B) for batch in islice(stream, batches))


_ENDINGS: Final[tuple[Callable[[Stream, int], int], ...]] = (
    _at_the_end,
    _in_the_middle,
    _after_a_seek,
    _by_an_error,
    _from_another_thread,
)


def _kill_a_consumer(folder: Path, store: str, rng: random.Random) -> int:
    """Kill a consumer at random moments until its epoch is over; return how often."""
    kills = 0
    with tempfile.TemporaryDirectory(dir=folder) as kept:
        while True:
            with subprocess.Popen([sys.executable, "-c", _CONSUMER, store, kept], start_new_session=True) as process:
                try:
                    status = process.wait(timeout=rng.uniform(0.2, 1.5 + kills))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    continue
            if status:
                raise RuntimeError(f"a consumer ended with status {status}")
            break
        found = np.fromfile(Path(kept) / "rows", dtype=np.int64)
    with open_stream(store, batch_rows=_BATCH_ROWS, buffer_bytes=_BUFFER_BYTES) as stream:
        wanted = np.concatenate([batch.row_B for batch in stream])
    if not np.array_equal(found, wanted):
        raise RuntimeError(
            f"{len(found)} rows after {kills} kills are not the {len(wanted)} of an epoch in their order"
        )
    return kills


def _footing(folder: Path) -> Footing:
    status = Path("/proc/self/status").read_text()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
    return Footing(
        memory_bytes=kilobytes * 1024,
        threads=sum(thread.name.startswith("actstore") for thread in threading.enumerate()),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()),
        mappings=Path("/proc/self/maps").read_text().count(str(folder)),
    )


def main() -> None:
    """Run the soak and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    add_look_only(parser)
    asked = parser.parse_args()
    recording = Recording("soak", look_only=asked.no_write)
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), seconds=60 * asked.minutes, seed=asked.seed)
    recording.finish(report._asdict())


if __name__ == "__main__":
    main()
