import numpy as np
import pytest

from actstore.errors import SourceError
from actstore.intake.parts import Mapped, Part
from actstore.intake.sides import Side

ROWS = np.random.default_rng(0).normal(size=(700, 4)).astype(np.float16)


def part(name: str, rows: int = 300) -> Part:
    numbers = np.arange(rows, dtype=np.int64)
    return Part(name, {"site": Mapped(ROWS[:rows])}, None, lambda start, stop: numbers[start:stop])


def test_parts_have_the_same_sites() -> None:
    other = Part("b", {"site": Mapped(ROWS[:, :3])}, None)
    with pytest.raises(SourceError, match="b has site with 3 features, and a site with 4 features"):
        Side([part("a"), other])
    with pytest.raises(SourceError, match="no activations"):
        Side([])


def test_a_site_is_named_by_the_user_if_there_is_one() -> None:
    assert list(Side([part("a")], rename="resid_post.3").arrays) == ["resid_post.3"]
    two = Part("a", {"one": Mapped(ROWS), "two": Mapped(ROWS)}, None)
    with pytest.raises(SourceError, match=r"name their sites themselves .*; leave out x="):
        Side([two], rename="x")


def test_rows_and_tokens_go_on_from_part_to_part() -> None:
    side = Side([part("a", 5), part("b", 3), part("c", 4)])
    np.testing.assert_array_equal(side.arrays["site"].read(4, 10), ROWS[[4, 0, 1, 2, 0, 1]].astype(np.float32))
    assert side.has_tokens
    assert side.tokens(4, 10).tolist() == [4, 0, 1, 2, 0, 1]
