import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from actstore.corpus.duplicates import SeenHashes


@given(st.lists(st.lists(st.integers(0, 40) | st.just(2**64 - 1), max_size=12)))
def test_answers_as_a_list_of_all_pairs_would(batches: list[list[int]]) -> None:
    seen = SeenHashes()
    added: list[int] = []
    for batch in batches:
        hash_B = np.array(batch, dtype=np.uint64)
        assert seen.contains(hash_B).tolist() == [value in added for value in batch]
        seen.add(hash_B, first_sequence=len(added))
        added += batch
    for value in range(42):
        expected = [sequence for sequence, other in enumerate(added) if other == value]
        assert sorted(seen.sequences(value)) == expected


def test_finds_one_hash_among_very_many() -> None:
    seen = SeenHashes()
    hash_N = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    for start in range(0, len(hash_N), 1_000):
        seen.add(hash_N[start : start + 1_000], first_sequence=start)
    assert seen.contains(hash_N).all()
    assert seen.sequences(int(hash_N[77_777])) == [77_777]
