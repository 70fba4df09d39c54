import pytest

from actstore.errors import UsageError
from actstore.workflows.extraction.shares import Share, parse_share


@pytest.mark.parametrize("shares", [1, 2, 7, 100])
def test_every_task_is_in_exactly_one_share(shares: int) -> None:
    for task in range(50):
        assert sum(task in Share(number, shares) for number in range(1, shares + 1)) == 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "-1/4", "1/0", "1/4/2", ""])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_share(text)
