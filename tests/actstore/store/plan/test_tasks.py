"""Which residue is which row, known before the first forward pass."""

import subprocess
import sys
from collections import defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actstore.contracts.hashing import hash_text
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.contracts.tasks import Task
from actstore.corpus.splits import assign_splits
from actstore.corpus.windows import cut_windows
from actstore.errors import CorpusError
from actstore.extract.residues import kept_positions
from actstore.store.plan.tasks import Plan, plan_tasks, sequence_order

SPLITS = {"train": 0.6, "test": 0.3, "valid": 0.1}
Residue = tuple[str, int]


def recipe_of(**changes: Any) -> Recipe:
    document: dict[str, Any] = {
        "model": {"name": "fake"},
        "corpus": {"sequences": "x", "window_residues": 20, "window_overlap": 6},
        "splits": {"fractions": SPLITS},
        "store": {"task_rows": 32, "chunk_rows": 8},
    }
    for dotted, value in changes.items():
        section, _, key = dotted.rpartition(".")
        (document.setdefault(section, {}) if section else document)[key] = value
    return Recipe.model_validate(document)


def table_of(lengths: dict[str, int], recipe: Recipe) -> SequenceTable:
    """Sequences with split, in corpus order."""
    id_hash_N = np.array([hash_text(name) for name in lengths], dtype=np.uint64)
    split_N = assign_splits(id_hash_N, recipe.splits.fractions, seed=recipe.seed, cluster_hash_N=None)
    return SequenceTable(id_hash_N, np.array(list(lengths.values()), np.int32), split_N, tuple(recipe.splits.fractions))


def planned(lengths: dict[str, int], recipe: Recipe) -> tuple[Plan, list[str]]:
    """Return the plan as a store would make it, and the ids in the order of its sequences."""
    table = table_of(lengths, recipe)
    order_N = sequence_order(table, seed=recipe.seed)
    ordered = table.take(order_N)
    names = list(lengths)
    return plan_tasks(ordered, recipe.row_rules), [names[index] for index in order_N]


def tasks_of(plan: Plan) -> list[Task]:
    return [plan.task(index) for index in range(plan.tasks)]


def laid_out(task: Task, names: list[str]) -> list[Residue]:
    """The residues of a task's pieces, end to end."""
    return [(names[piece.sequence], int(position)) for piece in task.pieces for position in piece.position_K]


def by_split(plan: Plan, names: list[str]) -> dict[str, list[Residue]]:
    """The residues of each split in plan order, before rows are permuted inside tasks."""
    residues: dict[str, list[Residue]] = defaultdict(list)
    for task in tasks_of(plan):
        residues[task.split] += laid_out(task, names)
    return residues


lengths_strategy = st.dictionaries(
    st.text("ABCDEF", min_size=1, max_size=4), st.integers(1, 120), min_size=1, max_size=40
)
rows_strategy = st.fixed_dictionaries(
    {
        "rows.fraction": st.sampled_from([1.0, 0.5, 0.13]),
        "rows.max_per_sequence": st.sampled_from([None, 1, 7]),
        "store.task_rows": st.sampled_from([8, 32, 1024]),
        "seed": st.integers(0, 3),
    }
)


@given(lengths_strategy, rows_strategy)
def test_every_kept_residue_is_exactly_one_row(lengths: dict[str, int], changes: dict[str, Any]) -> None:
    recipe = recipe_of(**changes)
    try:
        plan, names = planned(lengths, recipe)
    except CorpusError:
        return
    found = [residue for residues in by_split(plan, names).values() for residue in residues]
    kept = {
        (name, int(position))
        for name, count in zip(names, plan.kept_N, strict=True)
        for position in kept_positions(hash_text(name), lengths[name], int(count), seed=recipe.seed)
    }
    assert len(found) == len(set(found)) == plan.rows
    assert set(found) == kept
    if recipe.rows.fraction == 1.0 and recipe.rows.max_per_sequence is None:
        assert plan.rows == sum(lengths.values())


@given(lengths_strategy, rows_strategy)
def test_tasks_are_full_but_for_the_last_of_a_split(lengths: dict[str, int], changes: dict[str, Any]) -> None:
    recipe = recipe_of(**changes)
    try:
        plan, names = planned(lengths, recipe)
    except CorpusError:
        return
    split_of = {name: plan.table.splits[code] for name, code in zip(names, plan.table.split_N, strict=True)}
    tasks = tasks_of(plan)
    assert [task.index for task in tasks] == list(range(plan.tasks))
    for task in tasks:
        residues = laid_out(task, names)
        assert task.rows == len(residues) == plan.rows_of(task.index) > 0
        assert {split_of[name] for name, _ in residues} == {task.split}
        assert sorted(task.order_N.tolist()) == list(range(task.rows))
        split = plan.splits[plan.split_of(task.index)]
        assert split.name == task.split
        last = task.index == split.first_task + split.tasks - 1
        assert task.rows == plan.task_rows or last
    for split in plan.splits:
        assert split.rows == sum(task.rows for task in tasks if task.split == split.name)
        assert split.sequences == sum(name == split.name for name in split_of.values())
    # The row arrays end with the last row of the last task; a task begins at a multiple of task_rows.
    assert plan.array_rows == (plan.tasks - 1) * plan.task_rows + tasks[-1].rows


@given(lengths_strategy, rows_strategy)
def test_pieces_are_windows_that_hold_their_residues(lengths: dict[str, int], changes: dict[str, Any]) -> None:
    recipe = recipe_of(**changes)
    try:
        plan, names = planned(lengths, recipe)
    except CorpusError:
        return
    corpus = recipe.corpus
    for task in tasks_of(plan):
        for piece in task.pieces:
            length = lengths[names[piece.sequence]]
            windows = cut_windows(length, window=corpus.window_residues, overlap=corpus.window_overlap)
            (window,) = [window for window in windows if (window.start, window.stop) == (piece.start, piece.stop)]
            assert len(piece.position_K) > 0
            assert piece.position_K.dtype == np.int32
            assert (np.diff(piece.position_K) > 0).all()
            assert window.keep_start <= piece.position_K[0] <= piece.position_K[-1] < window.keep_stop


def test_a_residue_of_a_long_protein_comes_from_the_window_where_it_has_most_context() -> None:
    plan, _ = planned({"long": 500}, recipe_of(**{"splits.fractions": {"train": 1.0}}))
    windows = cut_windows(500, window=20, overlap=6)

    def context(start: int, stop: int, position: int) -> int:
        """Distance to the nearer cut; the ends of the protein are none."""
        left = position - start if start > 0 else 500
        right = stop - 1 - position if stop < 500 else 500
        return min(left, right)

    for task in tasks_of(plan):
        for piece in task.pieces:
            for position in piece.position_K.tolist():
                best = max(context(w.start, w.stop, position) for w in windows if w.start <= position < w.stop)
                assert context(piece.start, piece.stop, position) >= best - 1


def test_windows_of_a_long_protein_are_scattered_over_the_plan() -> None:
    lengths = {"long": 2000} | {f"short{index}": 15 for index in range(400)}
    plan, names = planned(lengths, recipe_of(**{"splits.fractions": {"train": 1.0}}))
    share = [np.mean([name == "long" for name, _ in laid_out(task, names)]) for task in tasks_of(plan)]
    assert len(share) == 250
    # A quarter of all rows; were they together they would fill 63 of the tasks.
    assert np.mean(np.array(share) > 0) > 0.4
    assert np.mean(np.array(share) == 1.0) < 0.1


def test_a_unit_on_a_border_belongs_to_both_tasks() -> None:
    plan, _ = planned({"A": 18, "B": 18, "C": 18, "D": 18}, recipe_of(**{"splits.fractions": {"train": 1.0}}))
    first, second, third = tasks_of(plan)
    assert [task.rows for task in (first, second, third)] == [32, 32, 8]
    assert first.pieces[-1].sequence == second.pieces[0].sequence
    shared = np.concatenate([first.pieces[-1].position_K, second.pieces[0].position_K])
    assert shared.tolist() == list(range(18))
    assert (first.pieces[-1].start, first.pieces[-1].stop) == (second.pieces[0].start, second.pieces[0].stop) == (0, 18)


@given(lengths_strategy, lengths_strategy, rows_strategy)
def test_adding_sequences_changes_nothing_for_the_others(
    before: dict[str, int], more: dict[str, int], changes: dict[str, Any]
) -> None:
    """Their kept residues, their split and their order among themselves stay."""
    recipe = recipe_of(**changes)
    after = before | {f"new{name}": length for name, length in more.items()}
    try:
        small, large = by_split(*planned(before, recipe)), by_split(*planned(after, recipe))
    except CorpusError:
        return
    for split in SPLITS:
        assert [residue for residue in large[split] if residue[0] in before] == small[split]


@given(lengths_strategy, st.integers(0, 3))
def test_the_order_of_the_files_does_not_matter(lengths: dict[str, int], seed: int) -> None:
    recipe = recipe_of(seed=seed)
    backwards = dict(reversed(lengths.items()))
    assert by_split(*planned(lengths, recipe)) == by_split(*planned(backwards, recipe))
    assert planned(lengths, recipe)[0].digest() == planned(backwards, recipe)[0].digest()


@given(lengths_strategy, st.sampled_from([(0.1, 0.3), (0.3, 0.31), (0.5, 1.0)]), st.integers(0, 3))
def test_a_smaller_fraction_is_a_subset(lengths: dict[str, int], fractions: tuple[float, float], seed: int) -> None:
    try:
        few, many = (
            {residue for part in by_split(*planned(lengths, recipe_of(**changes))).values() for residue in part}
            for changes in ({"rows.fraction": fraction, "seed": seed} for fraction in fractions)
        )
    except CorpusError:
        return
    assert few <= many


@given(lengths_strategy)
def test_sequences_are_stored_in_the_order_of_their_first_windows(lengths: dict[str, int]) -> None:
    plan, _ = planned(lengths, recipe_of())
    first_windows = plan.units.sequence_U[plan.units.window_U == 0]
    assert first_windows.tolist() == list(range(len(lengths)))


DIGESTED = {f"P{index}": 10 + index for index in range(60)}
RELEVANT = {
    "a seed": {"seed": 1},
    "task rows": {"store.task_rows": 64},
    "a fraction": {"rows.fraction": 0.9},
    "a maximum": {"rows.max_per_sequence": 30},
    "splits": {"splits.fractions": {"train": 0.5, "test": 0.4, "valid": 0.1}},
    "names of splits": {"splits.fractions": {"train": 0.6, "test": 0.3, "tune": 0.1}},
    "windows": {"corpus.window_residues": 21},
    "overlaps": {"corpus.window_overlap": 7},
}


@pytest.mark.parametrize("changes", RELEVANT.values(), ids=RELEVANT.keys())
def test_the_digest_changes_with(changes: dict[str, Any]) -> None:
    assert planned(DIGESTED, recipe_of(**changes))[0].digest() != planned(DIGESTED, recipe_of())[0].digest()


def test_the_digest_changes_with_sequences() -> None:
    digest = planned(DIGESTED, recipe_of())[0].digest()
    longer, renamed, more = DIGESTED | {"P7": 18}, dict(DIGESTED), DIGESTED | {"P60": 70}
    renamed["Q7"] = renamed.pop("P7")
    digests = {planned(lengths, recipe_of())[0].digest() for lengths in (longer, renamed, more)}
    assert len(digests | {digest}) == 4


def test_the_digest_does_not_change_with_what_is_irrelevant() -> None:
    digest = planned(DIGESTED, recipe_of())[0].digest()
    for changes in ({"store.encoding": "float16"}, {"model.name": "other"}, {"store.chunk_rows": 16}):
        assert planned(DIGESTED, recipe_of(**changes))[0].digest() == digest


def test_the_plan_is_frozen() -> None:
    """Another digest here means that stores in the making cannot be continued: a new format version."""
    plan, names = planned(DIGESTED, recipe_of())
    assert plan.digest() == "39aa6f447f74efbdd1e5a85b5c95e998a58f1e1e1af76406ec0505adae3807b0"
    assert laid_out(plan.task(0), names)[:2] == [("P32", 15), ("P32", 16)]
    assert plan.task(0).order_N[:8].tolist() == [12, 28, 0, 14, 7, 19, 20, 13]


def test_rows_inside_a_task_are_mixed_and_differently_in_each() -> None:
    plan, _ = planned(DIGESTED, recipe_of(**{"store.task_rows": 256}))
    orders = [task.order_N for task in tasks_of(plan) if task.rows == 256]
    assert len(orders) > 3
    assert len({order.tobytes() for order in orders}) == len(orders)
    for order in orders:
        assert abs(np.corrcoef(order, np.arange(256))[0, 1]) < 0.3


def test_splits_without_sequences_have_no_tasks() -> None:
    recipe = recipe_of(**{"splits.fractions": {"train": 0.0, "middle": 1.0, "test": 0.0}})
    plan, _ = planned({"A": 40, "B": 50}, recipe)
    assert [(split.name, split.rows, split.first_task, split.tasks) for split in plan.splits] == [
        ("train", 0, 0, 0),
        ("middle", 90, 0, 3),
        ("test", 0, 3, 0),
    ]
    assert plan.array_rows == 90
    assert {task.split for task in tasks_of(plan)} == {"middle"}


def test_keeping_no_residue_at_all_is_an_error() -> None:
    recipe = recipe_of(**{"rows.fraction": 1e-9})
    with pytest.raises(CorpusError, match="of 1 sequences no residue is kept"):
        planned({"A": 3}, recipe)


@pytest.mark.parametrize("task", [-1, 10_000])
def test_there_are_no_other_tasks(task: int) -> None:
    plan, _ = planned(DIGESTED, recipe_of())
    with pytest.raises(IndexError, match=f"task {task} of {plan.tasks}"):
        plan.task(task)


def test_a_task_does_not_depend_on_others_having_been_worked_out() -> None:
    plan, _ = planned(DIGESTED, recipe_of())
    again = replace(plan)
    for index in reversed(range(plan.tasks)):
        one, other = plan.task(index), again.task(index)
        assert one.order_N.tolist() == other.order_N.tolist()
        assert [piece[:3] for piece in one.pieces] == [piece[:3] for piece in other.pieces]


PROGRAM = """
import resource
import numpy as np
from actstore.contracts.recipe import Recipe
from actstore.contracts.sequences import SequenceTable
from actstore.store.plan.tasks import plan_tasks

rng = np.random.default_rng(0)
recipe = Recipe.model_validate({"model": {"name": "x"}, "corpus": {"sequences": "x"}, "rows": {"fraction": 0.1}})
count = 200_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = SequenceTable(
    rng.integers(0, 1 << 64, count, dtype=np.uint64),
    np.minimum(rng.lognormal(5.7, 0.7, count), 30_000).astype(np.int32) + 1,
    np.zeros(count, np.int8),
    ("train",),
)
plan = plan_tasks(table, recipe.row_rules)
plan.task(plan.tasks // 2)
plan.digest()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_planning_takes_memory_for_lengths_only() -> None:
    """200,000 sequences have 70 M residues and 7 M rows; the plan knows only the sequences."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 200_000 * 600
