"""What an epoch asks of the model."""

import pytest

from actstore.workflows.live.cost import LiveCost, live_cost

ROUNDS = [range(8)] * 5


@pytest.mark.parametrize(("kept", "computed"), [(8, 8), (100, 8), (4, 8 + 4 * 4), (7, 8), (0, 40)])
def test_what_is_kept_is_computed_once_and_the_rest_once_a_fill(kept: int, computed: int) -> None:
    """One more than fits is at hand, too: the latest."""
    cost = live_cost(ROUNDS, task_bytes=100, kept_bytes=kept * 100)
    assert cost == LiveCost(tasks=8, computed=computed, needed_bytes=800)
    assert cost.passes == computed / 8


def test_nothing_to_compute_costs_nothing() -> None:
    assert live_cost([[], []], task_bytes=1, kept_bytes=1).passes == 0.0
