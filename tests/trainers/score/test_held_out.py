import numpy as np

from tests.trainers.in_memory import stream_of
from tests.trainers.planted import Planted
from trainers.score.held_out import hold_out


def test_the_first_rows_are_kept_and_come_again_and_again(one_site: Planted) -> None:
    stream = stream_of(one_site.values_NSD, batch_rows=1000)
    held_out = hold_out(stream, max_rows=2500)
    assert (held_out.rows, held_out.sites) == (2500, stream.sites)
    first, again = (list(held_out.until(lambda: False)) for _ in range(2))
    assert [len(batch.values_BSD) for batch in first] == [1000, 1000, 500]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.values_BSD, other.values_BSD)


def test_a_split_may_have_fewer(one_site: Planted) -> None:
    assert hold_out(stream_of(one_site.values_NSD[:700], batch_rows=300), max_rows=2500).rows == 700


def test_an_evaluation_that_is_told_to_stop_ends_after_a_batch(one_site: Planted) -> None:
    held_out = hold_out(stream_of(one_site.values_NSD, batch_rows=100), max_rows=1000)
    assert len(list(held_out.until(lambda: True))) == 1
