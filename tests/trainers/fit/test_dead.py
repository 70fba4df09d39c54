import pytest
import torch

from trainers.fit.dead import advance_idle_rows, count_dead, dead_latents


def test_a_latent_is_dead_when_it_fired_on_none_of_the_last_rows() -> None:
    idle_rows_F = torch.zeros(3, dtype=torch.int64)
    for fired in ([4, 0, 1], [3, 0, 0], [0, 0, 0]):
        idle_rows_F = advance_idle_rows(idle_rows_F, torch.tensor(fired), rows=10)
    assert idle_rows_F.tolist() == [10, 30, 20]
    assert dead_latents(idle_rows_F, dead_after_rows=20).tolist() == [1, 2]


@pytest.mark.parametrize(("after", "dead"), [(10, 3), (20, 2), (30, 1), (31, None)])
def test_nobody_is_called_dead_before_so_many_rows(after: int, dead: int | None) -> None:
    assert count_dead(torch.tensor([10, 30, 20]), rows=30, dead_after_rows=after) == dead
