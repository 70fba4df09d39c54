import numpy as np
import torch

from trainers.fit.rows.norms import keep_short_rows
from trainers.fit.rows.places import RowPlaces


def test_a_row_that_is_too_long_at_any_site_is_left_out_with_its_place() -> None:
    values_BSD = torch.ones(4, 2, 3)
    values_BSD[1, 0] *= 10
    values_BSD[3, 1] *= 10
    places = RowPlaces(np.arange(4), np.arange(4, dtype=np.int32))
    kept_BSD, kept = keep_short_rows(values_BSD, places, torch.tensor([2.0, 2.0]))
    assert len(kept_BSD) == 2
    assert kept is not None
    assert kept.sequence_B.tolist() == [0, 2]


def test_rows_at_the_limit_and_rows_without_a_limit_are_kept() -> None:
    values_BSD = torch.ones(4, 1, 4)
    assert keep_short_rows(values_BSD, None, torch.tensor([2.0]))[0] is values_BSD
    assert keep_short_rows(values_BSD, None, None)[0] is values_BSD


def test_rows_that_are_not_finite_are_not_hidden() -> None:
    values_BSD = torch.ones(4, 1, 4)
    values_BSD[2] = torch.inf
    assert len(keep_short_rows(values_BSD, None, torch.tensor([5.0]))[0]) == 4
