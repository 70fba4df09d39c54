import numpy as np
import pytest

from trainers.fit.rows.places import RowPlaces
from trainers.fit.terms.labels import LabelFacts, Labels, column_facts

HELIX = np.array([1.0, 0.0, np.nan, 0.0])


def places(*pairs: tuple[int, int]) -> RowPlaces:
    sequence_B, position_B = np.array(pairs).T
    return RowPlaces(sequence_B, position_B.astype(np.int32))


def test_labels_are_found_by_sequence_and_position() -> None:
    column = column_facts("helix", "bool", HELIX)
    assert column is not None
    facts = LabelFacts(sha256="0" * 64, residues=4, columns=(column,))
    labels = Labels(facts, places((3, 9), (0, 1), (0, 0), (7, 2)), HELIX[:, None])
    found = labels.of(places((7, 2), (7, 1), (3, 9), (8, 0), (0, 0)))
    assert found.index_R.tolist() == [0, 2, 4]
    np.testing.assert_array_equal(found.value_RC[:, 0], [0.0, 1.0, np.nan])


def test_a_probe_starts_at_the_base_rate_and_counts_in_units_of_its_loss() -> None:
    column = column_facts("helix", "bool", HELIX)
    assert column is not None
    assert column.start == pytest.approx((np.log(0.5),))
    assert column.unit == pytest.approx(-(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3))
    number = column_facts("exposure", "float", np.array([1.0, 3.0, np.nan]))
    assert number is not None
    assert (number.start, number.unit) == ((2.0,), 1.0)
    kind = column_facts("fold", "category", np.array([0.0, 1.0, 1.0, 1.0]), ("a", "b", "c"))
    assert kind is not None
    assert kind.outputs == 3
    assert kind.start[1] == pytest.approx(np.log(0.75))
    assert kind.start[2] == pytest.approx(np.log(0.5 / 4))  # a class that does not occur here


@pytest.mark.parametrize("value_N", [np.zeros(3), np.full(3, np.nan), np.array([2.0])])
def test_a_label_that_never_differs_teaches_nothing(value_N: np.ndarray) -> None:
    assert column_facts("none", "float", value_N) is None
