"""A logger that fails ends nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.trainers.loggers.runs import line, run_in
from trainers.loggers import several
from trainers.loggers.logger import LoggedRun
from trainers.loggers.several import Loggers


class Recording:
    """Keeps what it receives."""

    package: ClassVar = "json"
    received: ClassVar[list[object]] = []

    def start(self, run: LoggedRun) -> int:
        self.received.append("start")
        return 0

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.received.append(step)

    def flush(self) -> None:
        self.received.append("flush")

    def finish(self, result: Mapping[str, float] | None) -> None:
        self.received.append(result)


class Broken(Recording):
    """Fails at a step, and would fail at every other."""

    received: ClassVar[list[object]] = []

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.received.append(step)
        raise ConnectionError("the network is gone\nand more of it")


class Absent(Recording):
    """Cannot even begin."""

    received: ClassVar[list[object]] = []

    def start(self, run: LoggedRun) -> int:
        raise ValueError("no such project")


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    for logger in (Recording, Broken, Absent):
        logger.received.clear()
    monkeypatch.setattr(several, "LOGGERS", {"recording": Recording, "broken": Broken, "absent": Absent})


def test_one_that_fails_is_left_out_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Loggers(["absent", "broken", "recording"]) as loggers:
        loggers.start(run_in(tmp_path))
        for step in (1, 2):
            loggers.step(line(step))
        loggers.flush()
        loggers.finish({"l0": 3, "evaluated_on": "valid"})
    assert Recording.received == ["start", 1, 2, "flush", {"l0": 3.0}]
    assert Broken.received == ["start", 1]
    assert Absent.received == []
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition("; training goes on")[0] for message in messages] == [
        "warning: --log absent: ValueError: no such project",
        "warning: --log broken: ConnectionError: the network is gone",
    ]


def test_a_run_that_ends_early_has_no_result(tmp_path: Path) -> None:
    loggers = Loggers(["recording"])
    loggers.start(run_in(tmp_path))
    with pytest.raises(KeyboardInterrupt), loggers:
        raise KeyboardInterrupt
    assert Recording.received == ["start", None]


def test_one_that_never_began_is_not_ended() -> None:
    with Loggers(["recording"]):
        pass
    assert Recording.received == []


def test_no_loggers_are_no_work(tmp_path: Path) -> None:
    with Loggers() as loggers:
        loggers.start(run_in(tmp_path))
        loggers.step(line(1))
    assert not list(tmp_path.iterdir())
