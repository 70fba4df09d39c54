import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from actstore.contracts.hashing import hash_text
from actstore.contracts.rules import RowRules
from actstore.extract.residues import kept_counts, kept_positions

ids = st.integers(0, 2**64 - 1)
lengths = st.integers(1, 3000)
seeds = st.integers(0, 2**63)


def counts(id_hashes: list[int], length: int | list[int], rules: RowRules) -> NDArray[np.int32]:
    hash_N = np.array(id_hashes, dtype=np.uint64)
    return kept_counts(hash_N, np.full(len(hash_N), length, dtype=np.int32), rules)


class TestCounts:
    @given(ids, lengths, st.floats(1e-6, 1.0), seeds)
    def test_are_the_fraction_rounded_one_way_or_the_other(
        self, id_hash: int, length: int, fraction: float, seed: int
    ) -> None:
        count = counts([id_hash], length, RowRules(seed=seed, fraction=fraction))[0]
        assert np.floor(fraction * length) <= count <= min(np.floor(fraction * length) + 1, length)

    @given(ids, lengths, seeds)
    def test_everything_is_everything(self, id_hash: int, length: int, seed: int) -> None:
        assert counts([id_hash], length, RowRules(seed=seed)) == [length]

    @given(ids, lengths, st.integers(1, 4000))
    def test_never_exceed_the_most_per_sequence(self, id_hash: int, length: int, most: int) -> None:
        assert counts([id_hash], length, RowRules(seed=0, max_per_sequence=most)) == [min(length, most)]

    def test_neither_favour_nor_lose_short_sequences(self) -> None:
        names = [hash_text(f"P{index}") for index in range(20_000)]
        for length in (1, 7, 50, 333):
            mean = counts(names, length, RowRules(seed=0, fraction=0.03)).mean()
            assert mean == pytest.approx(0.03 * length, abs=4 * 0.5 / np.sqrt(len(names)))

    def test_are_whole_numbers_of_32_bits(self) -> None:
        assert counts([1, 2], 10, RowRules(seed=0, fraction=0.5)).dtype == np.int32


class TestPositions:
    @given(ids, lengths, st.data(), seeds)
    def test_are_distinct_ascending_and_within_the_sequence(
        self, id_hash: int, length: int, data: st.DataObject, seed: int
    ) -> None:
        count = data.draw(st.integers(0, length))
        kept = kept_positions(id_hash, length, count, seed=seed)
        assert kept.dtype == np.int32
        assert len(kept) == count
        assert (np.diff(kept) > 0).all()
        assert ((kept >= 0) & (kept < length)).all()

    @given(ids, lengths, st.data(), seeds)
    def test_fewer_are_a_subset_of_more(self, id_hash: int, length: int, data: st.DataObject, seed: int) -> None:
        few = data.draw(st.integers(0, length))
        more = data.draw(st.integers(few, length))
        kept = [set(kept_positions(id_hash, length, count, seed=seed).tolist()) for count in (few, more)]
        assert kept[0] <= kept[1]

    def test_are_spread_evenly_over_a_sequence(self) -> None:
        kept = [kept_positions(hash_text(f"P{index}"), 100, 10, seed=0) for index in range(2_000)]
        histogram = np.bincount(np.concatenate(kept), minlength=100)
        # Binomial with mean 200 and standard deviation 13.4.
        assert np.abs(histogram - 200).max() < 5 * 13.4

    def test_differ_between_sequences_and_seeds(self) -> None:
        drawn = [
            tuple(kept_positions(hash_text(name), 500, 20, seed=seed).tolist())
            for name, seed in (("P1", 0), ("P2", 0), ("P1", 1))
        ]
        assert len(set(drawn)) == 3

    def test_are_frozen_for_good(self) -> None:
        """Stores depend on these numbers; they come from an implementation of the hash in plain Python integers."""
        assert kept_positions(hash_text("P62258"), 255, 6, seed=0).tolist() == [77, 115, 135, 160, 163, 241]
        assert counts([hash_text("P62258")], 255, RowRules(seed=0, fraction=0.025)).tolist() == [6]
