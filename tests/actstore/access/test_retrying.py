"""What may pass is tried again, with growing waits and a limit; what will not pass is not."""

import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from actstore.access.retrying import ATTEMPTS, Retries
from actstore.errors import StorageUnavailableError


class Failing:
    """Fails some times, then succeeds."""

    def __init__(self, times: int, error: Callable[[], Exception]) -> None:
        self.calls = 0
        self._times = times
        self._error = error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error()
        return "done"


def run(act: Failing, retries: Retries) -> str:
    return retries.run(act, name="s3://bucket/store: object commits/3.json", describe=str)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def retries(slept: list[float]) -> Retries:
    """The usual ones, but for the waiting."""
    return Retries(sleep=slept.append)


def reset() -> Exception:
    return ConnectionResetError("reset by peer")


def test_success_is_not_repeated(retries: Retries, slept: list[float]) -> None:
    act = Failing(0, reset)
    assert run(act, retries) == "done"
    assert (act.calls, slept) == (1, [])


def test_the_last_attempt_counts_as_much_as_the_first(retries: Retries) -> None:
    act = Failing(ATTEMPTS - 1, reset)
    assert run(act, retries) == "done"
    assert act.calls == ATTEMPTS


def test_the_error_at_the_end_names_object_attempts_and_cause(retries: Retries) -> None:
    act = Failing(99, reset)
    with pytest.raises(StorageUnavailableError) as caught:
        run(act, retries)
    assert act.calls == ATTEMPTS
    assert str(caught.value).startswith(
        "s3://bucket/store: object commits/3.json: reset by peer; given up after 10 attempts in 0 s"
    )


@pytest.mark.parametrize(("kept", "end"), [("", "when the storage answers"), ("all stays", "answers; all stays")])
def test_the_error_at_the_end_says_what_is_kept(kept: str, end: str, retries: Retries) -> None:
    with pytest.raises(StorageUnavailableError) as caught:
        run(Failing(99, reset), replace(retries, kept=kept))
    assert str(caught.value).endswith(end)
    with pytest.raises(StorageUnavailableError, match=r"committed tasks are not lost$"):
        run(Failing(99, reset), retries)


def test_what_will_not_pass_is_raised_at_once(retries: Retries, slept: list[float]) -> None:
    for error in (PermissionError("no"), FileNotFoundError("no"), KeyError("a defect")):
        act = Failing(1, lambda error=error: error)  # type: ignore[misc]
        with pytest.raises(type(error)):
            run(act, retries)
        assert act.calls == 1
    assert slept == []


def test_waits_double_up_to_a_limit_and_differ_from_client_to_client() -> None:
    retries = Retries(first_wait_s=1.0, longest_wait_s=5.0)
    for attempt, longest_s in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (9, 5.0)):
        waits = [retries.wait_s(attempt) for _ in range(50)]
        assert longest_s / 2 <= min(waits) < max(waits) <= longest_s


def test_a_gateway_has_more_than_half_a_minute_to_come_back(retries: Retries, slept: list[float]) -> None:
    with pytest.raises(StorageUnavailableError):
        run(Failing(99, reset), retries)
    assert 30 < sum(slept) < 80


def test_one_attempt_is_one_attempt(retries: Retries) -> None:
    act = Failing(1, reset)
    with pytest.raises(StorageUnavailableError, match="given up after 1 attempt in"):
        run(act, replace(retries, attempts=1))
    assert act.calls == 1


def test_what_takes_long_is_said(retries: Retries, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="actstore.storage")
    assert run(Failing(2, reset), retries) == "done"
    assert not caplog.records, "two resets are no news"
    assert run(Failing(3, reset), retries) == "done"
    (record,) = caplog.records
    assert "object commits/3.json: reset by peer; attempt 4 of 10 in" in record.getMessage()


def test_the_cause_stays_out_of_the_traceback(retries: Retries) -> None:
    """Its own words may hold credentials; the message has what `describe` leaves of them."""
    with pytest.raises(StorageUnavailableError) as caught:
        run(Failing(99, reset), retries)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
