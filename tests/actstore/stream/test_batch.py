"""A batch of one site without its axis."""

import numpy as np
import pytest

from actstore.errors import StreamError
from actstore.stream.batch import Batch


def test_one_site_is_a_view() -> None:
    batch = Batch(np.zeros((5, 1, 3), np.float32), np.arange(5), np.arange(5))
    assert batch.values_BD.shape == (5, 3)
    assert np.shares_memory(batch.values_BD, batch.values_BSD)


def test_of_several_sites_one_has_to_be_chosen() -> None:
    with pytest.raises(StreamError, match="this stream has 2 sites; take one of them from values_BSD"):
        Batch(np.zeros((5, 2, 3), np.float32), np.arange(5), np.arange(5)).values_BD  # noqa: B018 - it raises
