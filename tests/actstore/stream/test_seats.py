"""Rows dealt to processes: each once, equal numbers of batches, none empty."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from actstore.errors import StreamError
from actstore.stream.seats import ONLY, Deal, Seat

SHAPES = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 400),
        "batch_rows": st.integers(1, 30),
        "fill_batches": st.integers(1, 7),
        "world_size": st.integers(1, 6),
        "drop_last": st.booleans(),
    }
)


def deal_of(shape: dict[str, int]) -> Deal:
    """Deal, or give up an example that is refused."""
    try:
        return Deal(**shape)  # type: ignore[arg-type]
    except StreamError:
        assume(False)
        raise


def batches_of(deal: Deal, rank: int, *, rounds: int | None = None) -> list[range]:
    """Places, along the order of the epoch, of the rows of each batch of a seat."""
    batches = []
    for round_ in range(deal.rounds if rounds is None else rounds):
        share = deal.share(round_, rank)
        start = share.start
        for rows in share.batches:
            batches.append(range(start, start + rows))
            start += rows
        assert start == share.stop
    return batches


@given(SHAPES)
def test_every_row_goes_to_one_seat_once_and_all_get_as_many_batches(shape: dict[str, int]) -> None:
    deal = deal_of(shape)
    seats = [batches_of(deal, rank) for rank in range(deal.world_size)]
    assert {len(batches) for batches in seats} == {deal.batches}
    assert min(len(batch) for batches in seats for batch in batches) >= 1
    dealt = sorted(place for batches in seats for batch in batches for place in batch)
    assert dealt == list(range(deal.rows_dealt))
    if shape["drop_last"]:
        assert {len(batch) for batches in seats for batch in batches} == {deal.batch_rows}
        assert 0 <= deal.rows - deal.rows_dealt < deal.batch_rows * deal.world_size
    else:
        assert deal.rows_dealt == deal.rows


@given(SHAPES)
def test_only_what_is_left_over_comes_in_smaller_batches_of_almost_equal_size(shape: dict[str, int]) -> None:
    deal = deal_of(shape)
    seats = [batches_of(deal, rank) for rank in range(deal.world_size)]
    steps = [[len(batches[step]) for batches in seats] for step in range(deal.batches)]
    full = [deal.batch_rows] * deal.world_size
    smaller = [sizes for sizes in steps if sizes != full]
    assert steps == [full] * (len(steps) - len(smaller)) + smaller
    assert len(smaller) <= 2
    for sizes in smaller:
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= deal.batch_rows


@given(SHAPES)
def test_rounds_are_contiguous_and_so_is_each_seat_within_them(shape: dict[str, int]) -> None:
    deal = deal_of(shape)
    place = 0
    for round_ in range(deal.rounds):
        assert place == deal.begins_at(round_ * deal.fill_batches)
        for rank in range(deal.world_size):
            share = deal.share(round_, rank)
            assert share.start == place
            assert len(share.batches) <= deal.fill_batches
            assert sum(share.batches) <= deal.most_rows()
            place = share.stop
    assert place == deal.rows_dealt == deal.begins_at(deal.batches)


@given(SHAPES, st.integers(1, 6), st.data())
def test_other_seats_can_take_over_at_the_end_of_a_round(
    shape: dict[str, int], world_size: int, data: st.DataObject
) -> None:
    deal = deal_of(shape)
    rounds = data.draw(st.integers(0, deal.rounds - 1))
    start = deal.begins_at(rounds * deal.fill_batches)
    again = deal_of(shape | {"rows": deal.rows - start, "world_size": world_size})
    before = [
        place for rank in range(deal.world_size) for batch in batches_of(deal, rank, rounds=rounds) for place in batch
    ]
    after = [start + place for rank in range(world_size) for batch in batches_of(again, rank) for place in batch]
    assert sorted([*before, *after]) == list(range(start + again.rows_dealt))


@pytest.mark.parametrize(
    ("rows", "world_size", "sizes"),
    [
        (40, 2, [[10, 10], [10, 10]]),
        (47, 2, [[10, 10], [10, 10], [4, 3]]),
        (41, 2, [[10, 10], [6, 5], [5, 5]]),
        (1, 1, [[1]]),
        (7, 4, [[2, 2, 2, 1]]),
        (82, 4, [[10, 10, 10, 10], [6, 5, 5, 5], [6, 5, 5, 5]]),
    ],
)
def test_what_is_left_over_is_divided_evenly(rows: int, world_size: int, sizes: list[list[int]]) -> None:
    """Too little for a batch of every seat goes together with the last full step."""
    deal = Deal(rows, 10, 3, world_size)
    seats = [batches_of(deal, rank) for rank in range(world_size)]
    assert [[len(batches[step]) for batches in seats] for step in range(deal.batches)] == sizes


def test_dropping_leaves_full_batches_alone() -> None:
    deal = Deal(59, 10, 2, world_size=2, drop_last=True)
    assert (deal.batches, deal.rounds, deal.rows_dealt) == (2, 1, 40)
    assert Deal(60, 10, 2, world_size=2, drop_last=True).rows_dealt == 60


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"rows": 0, "batch_rows": 10}, "0 rows do not make one batch of 10 for each of 1 processes"),
        ({"rows": 19, "batch_rows": 10, "world_size": 2, "drop_last": True}, "19 rows do not make one batch of 10"),
        ({"rows": 3, "batch_rows": 10, "world_size": 4}, "3 rows in batches of 10 cannot be dealt to 4 processes"),
        ({"rows": 5, "batch_rows": 1, "world_size": 2}, "5 rows in batches of 1 cannot be dealt to 2 processes"),
    ],
)
def test_deals_with_an_empty_batch_are_refused(shape: dict[str, int], message: str) -> None:
    with pytest.raises(StreamError, match=message):
        Deal(**shape | {"fill_batches": 2})  # type: ignore[arg-type]


def test_batches_of_two_rows_and_more_suit_any_rows_that_suffice() -> None:
    """What is refused is refused for a reason: fewer rows than seats, or batches of one row."""
    for world_size in range(1, 7):
        for rows in range(world_size, 80):
            assert Deal(rows, 2, 2, world_size).rows_dealt == rows


@pytest.mark.parametrize(("rank", "world_size"), [(-1, 1), (1, 1), (4, 4), (0, 0)])
def test_a_rank_is_one_of_the_world(rank: int, world_size: int) -> None:
    with pytest.raises(StreamError, match=rf"rank must be in 0 \.\. {world_size - 1}, not {rank}"):
        Seat(rank, world_size)


def test_alone_one_gets_everything() -> None:
    assert (ONLY.rank, ONLY.world_size) == (0, 1)
    assert [len(batch) for batch in batches_of(Deal(25, 10, 2), ONLY.rank)] == [10, 10, 5]
