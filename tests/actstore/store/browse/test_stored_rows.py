from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.tasks import Piece, Task
from actstore.errors import CorruptObjectError
from actstore.store.browse import stored_rows as module
from actstore.store.browse.all_proteins import proteins_of
from actstore.store.browse.chosen_sequences import ChosenSequences, choose_sequences
from actstore.store.browse.proteins import Proteins
from actstore.store.browse.sequence_index import SequenceRows
from actstore.store.browse.store import open_store
from actstore.store.browse.stored_rows import StoredRows
from actstore.store.read.open import open_manifest
from tests.actstore.store.damage import flip

StoreOf = Callable[..., Path]


def rows_of(store: Path, names: list[str]) -> tuple[StoredRows, ChosenSequences]:
    manifest, objects = open_manifest(store), LocalObjects(store)
    proteins = proteins_of(objects, manifest, progress=Silent())
    sequences = choose_sequences(objects, manifest, names, splits=manifest.splits, proteins=proteins, progress=Silent())
    return StoredRows(objects, manifest, manifest.sites, sequences), sequences


def task_of(sequences: ChosenSequences, positions: dict[int, list[int]], order: list[int]) -> Task:
    pieces = tuple(
        Piece(number, 0, int(sequences.length_N[number]), np.array(kept, dtype=np.int32))
        for number, kept in positions.items()
    )
    return Task(0, "train", len(order), pieces, np.array(order))


@pytest.fixture
def names(store_of: StoreOf) -> list[str]:
    found: list[str] = pq.read_table(store_of() / "sequences.parquet")["id"].to_pylist()[3:30:9]
    return found


@pytest.mark.parametrize("gap_bytes", [0, 1 << 19])
@pytest.mark.parametrize("encoding", ["int8", "float16"])
def test_rows_come_in_the_order_of_the_task_as_they_are_stored(
    store_of: StoreOf, names: list[str], encoding: str, gap_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GAP_BYTES", gap_bytes)
    store = store_of(**{"store.encoding": encoding})
    rows, sequences = rows_of(store, names)
    assert [rows.sequence_id(number) for number in range(3)] == [sequences.sequence_id(number) for number in range(3)]
    counted: list[int] = []
    task = task_of(sequences, {0: [0, 7, 50], 2: [3, 59]}, [4, 0, 3, 1, 2])
    found = rows.task_rows(task, parallel=map, on_rows=counted.append)
    assert found.sequence_N.tolist() == [2, 0, 2, 0, 0]
    assert found.position_N.tolist() == [59, 0, 3, 7, 50]
    assert sum(counted) == 5
    frozen = open_manifest(store).frozen
    with open_store(store) as opened:
        first = opened.rows(sequences.sequence_id(0), positions=[0, 7, 50])
        last = opened.rows(sequences.sequence_id(2), positions=[3, 59])
        wanted_NSD = np.concatenate([first.values_NSD, last.values_NSD])[task.order_N]
    for slot, site in enumerate(rows.sites):
        decoded = frozen.quantizer.decode(found.values[site.name], frozen.site_calibration(site.name))
        np.testing.assert_array_equal(decoded, wanted_NSD[:, slot])


def test_damaged_chunks_are_not_taken(own_store: StoreOf, names: list[str]) -> None:
    store = own_store()
    rows, sequences = rows_of(store, names)
    for shard in (store / "sites/embed/values/c").glob("*/0"):
        for chunk in range(0, shard.stat().st_size - 1024, 1024):
            flip(shard, chunk)
    with pytest.raises(CorruptObjectError, match="sites/embed/values"):
        rows.task_rows(task_of(sequences, {0: list(range(60))}, list(range(60))), parallel=map)


def test_rows_that_the_source_did_not_keep_are_refused(store_of: StoreOf) -> None:
    store = store_of(**{"rows.fraction": 0.3})
    ids = pq.read_table(store / "sequences.parquet")["id"].to_pylist()[:1]
    rows, sequences = rows_of(store, ids)
    with pytest.raises(CorruptObjectError, match=f"{ids[0]} does not have the rows that its recipe says"):
        rows.task_rows(task_of(sequences, {0: list(range(40))}, list(range(40))), parallel=map)


class NextRows(Proteins):
    """Takes each protein for the one before it."""

    def rows(self, number: int) -> SequenceRows:
        return super().rows(number + 1)


def test_rows_of_another_protein_are_refused(store_of: StoreOf, names: list[str]) -> None:
    manifest, objects = open_manifest(store_of()), LocalObjects(store_of())
    rows, sequences = rows_of(store_of(), names)
    mistaken = replace(sequences, proteins=NextRows(objects, manifest.frozen, progress=Silent()))
    rows = StoredRows(objects, manifest, rows.sites, mistaken)
    with pytest.raises(CorruptObjectError, match=r"row [\d,]+ is not the one that the plan says"):
        rows.task_rows(task_of(sequences, {0: [0, 1]}, [0, 1]), parallel=map)


def test_reads_are_runs_of_chunks_of_bounded_size(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    [spec] = [spec for spec in open_manifest(store_of()).frozen.row_arrays if spec.path == "sites/embed/values"]
    chunk_rows, chunk_bytes = spec.chunk[0], spec.chunk[0] * spec.row_bytes
    places = np.array([0, 1, 2, 3, 6, 7]) * chunk_rows

    def runs() -> list[tuple[int, int]]:
        return [(start // chunk_rows, stop // chunk_rows) for start, stop in module._runs(places, spec)]

    assert runs() == [(0, 8)]
    monkeypatch.setattr(module, "_GAP_BYTES", chunk_bytes)
    assert runs() == [(0, 4), (6, 8)]
    monkeypatch.setattr(module, "_MOST_BYTES", 3 * chunk_bytes)
    assert runs() == [(0, 3), (3, 4), (6, 8)]
