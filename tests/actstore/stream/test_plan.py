"""What a request comes to on a store, before anything is read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actstore.errors import StreamError
from actstore.store.read.manifest import Manifest
from actstore.store.read.open import open_manifest
from actstore.stream.plan import StreamPlan, plan_stream
from actstore.stream.request import StreamRequest
from actstore.stream.seats import Seat

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def manifest(store_of: StoreOf) -> Manifest:
    return open_manifest(store_of())


def plan_of(manifest: Manifest, *, computed: bool = False, **wishes: object) -> StreamPlan:
    request = StreamRequest(**wishes)  # type: ignore[arg-type]
    return plan_stream(manifest, request, uri="here", threads=4, computed=computed)


def test_it_has_the_rows_and_tasks_of_the_split(manifest: Manifest) -> None:
    plan = plan_of(manifest, batch_rows=64, split="valid")
    part = manifest.splits["valid"]
    assert (plan.runs.rows, len(plan.runs.task_T)) == (part.rows, part.tasks)
    assert plan.has_all_tasks
    assert plan_of(manifest, batch_rows=64, split=None).runs.rows == manifest.frozen.rows


def test_tasks_that_are_not_there_yet_are_left_out_or_refused(manifest: Manifest) -> None:
    train = manifest.splits["train"]
    commits = tuple(None if task == train.first_task else commit for task, commit in enumerate(manifest.commits))
    partial = manifest.model_copy(update={"commits": commits})
    request = StreamRequest(batch_rows=64)
    plan = plan_stream(partial, request, uri="here", threads=4, allow_incomplete=True)
    assert len(plan.runs.task_T) == train.tasks - 1
    assert not plan.has_all_tasks
    assert plan_of(partial, batch_rows=64, computed=True).has_all_tasks


def test_a_fill_is_half_of_the_buffer_and_no_more_than_the_split(manifest: Manifest) -> None:
    small = plan_of(manifest, batch_rows=16, buffer_bytes=20_000)
    row_bytes = small.columns.layout.row_bytes + 16
    assert 2 * small.fill_rows * row_bytes <= 20_000 < 2 * (small.fill_rows + 16) * row_bytes
    large = plan_of(manifest, batch_rows=16)
    assert large.fill_rows - 16 < large.runs.rows <= large.fill_rows
    assert plan_of(manifest, batch_rows=1 << 20, buffer_bytes=1 << 34).most_batch_rows == large.runs.rows


def test_order_seed_and_seat_are_those_asked_for(manifest: Manifest) -> None:
    config = plan_of(manifest, batch_rows=16, order="uniform", seed=7, seat=Seat(1, 3), drop_last=True).config
    assert (config.order, config.seed, config.seat, config.drop_last) == ("uniform", 7, Seat(1, 3), True)


def test_a_seed_is_drawn_where_none_is_given(manifest: Manifest) -> None:
    """For one process: several would draw several."""
    drawn = {plan_of(manifest, batch_rows=16, seed=None).config.seed for _ in range(3)}
    assert len(drawn) == 3
    with pytest.raises(StreamError, match="seed=None: each of several processes would draw its own"):
        plan_of(manifest, batch_rows=16, seed=None, seat=Seat(0, 2))


def test_rows_that_are_computed_cannot_come_in_uniform_order(manifest: Manifest) -> None:
    with pytest.raises(StreamError, match=r"here: order='uniform' .* use order='windows'"):
        plan_of(manifest, batch_rows=16, order="uniform", computed=True)
