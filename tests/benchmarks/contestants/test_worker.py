from collections.abc import Generator, Sequence

import numpy as np
import pytest

from benchmarks.contestants.contract import Delivered, Setting, Variant
from benchmarks.contestants.worker import MemoryPeak, Probe, choose_variant, cpu_seconds, measure, memory
from benchmarks.limits.gather import FlatGather


class Scripted:
    """Delivers the rows that it is told to, with values of others if asked."""

    def __init__(self, setting: Setting, order: Sequence[int], *, values_of: Sequence[int] | None = None) -> None:
        self._flat_NX = setting.flat()
        self._order, self._values_of = np.array(order), np.array(order if values_of is None else values_of)
        self._batch_rows = setting.workload.batch_rows
        self.rows = setting.workload.rows
        self.variants: Sequence[Variant] = ({"name": "first"}, {"name": "second"})
        self.used: list[str] = []
        self.holds_buffer = False

    def use(self, variant: Variant) -> None:
        self.used.append(variant["name"])

    def epoch(self, number: int) -> Generator[Delivered]:
        for start in range(0, len(self._order), self._batch_rows):
            here = slice(start, start + self._batch_rows)
            yield Delivered(self._flat_NX[self._values_of[here]].astype(np.float32), self._order[here])

    def close(self) -> None: ...


def probed(setting: Setting, contestant: Scripted) -> bool | None:
    probe = Probe(setting, contestant)
    for batch in contestant.epoch(0):
        probe.see(batch)
    found: bool | None = probe.result()["exactly_once"]
    return found


def test_a_probe_passes_a_permutation_and_nothing_else(setting: Setting) -> None:
    rows = list(np.random.default_rng(0).permutation(setting.workload.rows))
    assert probed(setting, Scripted(setting, rows)) is True
    assert probed(setting, Scripted(setting, rows[:-1])) is False
    assert probed(setting, Scripted(setting, [*rows[:-1], rows[0]])) is False
    assert probed(setting, Scripted(setting, rows, values_of=[rows[1], rows[0], *rows[2:]])) is False


def test_a_measurement_counts_rows_and_sequences(setting: Setting) -> None:
    rows = range(setting.workload.rows)  # stored order: batches of a task know few proteins
    found = measure(Scripted(setting, rows), setting, epoch=3)
    assert (found["epochs"], found["rows"]) == (1, setting.workload.rows)
    assert found["exactly_once"] is True
    batch_rows = setting.workload.batch_rows
    first = len(np.unique(setting.sequence_N()[:batch_rows]))
    assert abs(found["distinct_per_batch"] - first) < first
    assert measure(Scripted(setting, [0, *rows[1:-1], 0]), setting, epoch=0)["exactly_once"] is False


def test_an_epoch_without_row_ids_is_only_timed(setting: Setting) -> None:
    class Bytes(Scripted):
        def epoch(self, number: int) -> Generator[Delivered]:
            yield Delivered(np.zeros((self.rows, 1)), None)

    contestant = Bytes(setting, [])
    assert probed(setting, contestant) is None
    found = measure(contestant, setting, epoch=0)
    assert found["rows"] == setting.workload.rows
    assert found["distinct_per_batch"] is found["exactly_once"] is None


def test_every_variant_is_tried_and_the_fastest_is_left_in_use(setting: Setting) -> None:
    contestant = Scripted(setting, range(setting.workload.rows))
    tried = choose_variant(contestant)
    assert len(tried) == 2
    assert list(tried.values()) == sorted(tried.values(), reverse=True)
    assert set(contestant.used[:2]) == {"first", "second"}
    assert contestant.used[-1] in next(iter(tried))


def test_a_single_variant_is_taken_without_a_trial(setting: Setting) -> None:
    contestant = FlatGather(setting, setting.flat())
    contestant.variants = [{"own_threads": False, "block_rows": 64}]
    assert list(choose_variant(contestant).values()) == [0.0]
    contestant.close()


def test_a_peak_is_seen_though_the_memory_is_returned() -> None:
    before = memory("RssAnon")
    with MemoryPeak() as peak:
        block = np.ones(64 << 20, dtype=np.uint8)
        assert block[-1] == 1
        # The sampler needs a turn while the block is there.
        while peak.bytes < before + (32 << 20):
            pass
        del block
    assert peak.bytes >= before + (32 << 20)


def test_work_costs_processor_time() -> None:
    before = cpu_seconds()
    sum(range(3_000_000))
    assert cpu_seconds() > before


def test_an_unknown_field_of_memory_is_an_error() -> None:
    with pytest.raises(KeyError):
        memory("VmNothing")
