import numpy as np

from actstore.store.write.facts import SplitFacts
from actstore.store.write.members import MemberFacts, number_tasks

DIGEST = "0" * 64


def split(first_task: int, rows: int) -> SplitFacts:
    return SplitFacts(sequences=rows // 10, rows=rows, first_task=first_task, tasks=-(-rows // 100))


ONE = MemberFacts(recipe_sha256=DIGEST, sequences=50, splits={"train": split(0, 250), "valid": split(3, 100)})
TWO = MemberFacts(recipe_sha256=DIGEST, sequences=7, splits={"test": split(0, 50), "train": split(1, 120)})


def test_tasks_are_numbered_split_by_split_and_store_by_store() -> None:
    table = number_tasks([ONE, TWO], 100)
    assert list(table.splits) == ["train", "test", "valid"]
    assert table.member_T.tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert table.local_T.tolist() == [0, 1, 2, 1, 2, 0, 3]
    assert table.rows_T.tolist() == [100, 100, 50, 100, 20, 50, 100]
    assert table.splits["train"] == SplitFacts(sequences=37, rows=370, first_task=0, tasks=5)
    assert table.splits["valid"] == SplitFacts(sequences=10, rows=100, first_task=6, tasks=1)


def test_sequences_of_a_store_follow_those_of_the_store_before() -> None:
    table = number_tasks([ONE, TWO], 100)
    assert table.sequences_M.tolist() == [50, 7]
    assert table.first_sequence_M.tolist() == [0, 50]


def test_a_task_is_found_under_its_common_number() -> None:
    table = number_tasks([ONE, TWO], 100)
    assert table.common(0, np.array([3, 0, 2])).tolist() == [6, 0, 2]
    assert table.common(1, np.array([0, 1, 2])).tolist() == [5, 3, 4]


def test_a_task_that_is_not_here_has_none() -> None:
    assert number_tasks([ONE, TWO], 100).common(1, np.array([3, 99])).tolist() == [-1, -1]
