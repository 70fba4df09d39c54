"""A batch of one site, and of several."""

import numpy as np
import pytest

from actstore.errors import StreamError
from actstore.stream.batch import Batch


def batch_of(sites: int) -> Batch:
    place_B = np.arange(5)
    return Batch(
        np.zeros((5, sites, 3), np.float32), place_B, place_B, place_B.astype(np.int32), place_B.astype(np.int16)
    )


def test_one_site_is_a_view() -> None:
    batch = batch_of(1)
    assert batch.values_BD.shape == (5, 3)
    assert np.shares_memory(batch.values_BD, batch.values_BSD)


def test_of_several_sites_one_has_to_be_chosen() -> None:
    with pytest.raises(StreamError, match="this stream has 2 sites; take one of them from values_BSD"):
        batch_of(2).values_BD  # noqa: B018 - it raises
