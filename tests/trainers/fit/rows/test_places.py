import numpy as np

from trainers.fit.rows.places import RowPlaces


def test_neighbours_are_all_pairs_of_one_sequence_whose_positions_differ_by_one() -> None:
    rng = np.random.default_rng(0)
    key_B = rng.permutation(400)[:150]
    places = RowPlaces(key_B // 40, (key_B % 40).astype(np.int32))
    naive = {
        (first, second)
        for first in range(150)
        for second in range(150)
        if places.sequence_B[first] == places.sequence_B[second]
        and places.position_B[first] + 1 == places.position_B[second]
    }
    assert len(naive) > 20
    assert set(zip(*places.neighbours().tolist(), strict=True)) == naive


def test_rows_whose_position_is_not_known_have_no_neighbours() -> None:
    unknown_B = np.full(5, -1, dtype=np.int32)
    assert RowPlaces(np.zeros(5, dtype=np.int64), unknown_B).neighbours().shape == (2, 0)
