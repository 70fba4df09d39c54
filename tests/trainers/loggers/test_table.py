"""Names of loggers on the command line."""

import importlib.util
from typing import get_args

import pytest

from actstore import errors
from trainers.loggers import table
from trainers.loggers.table import LOGGERS, check_loggers, parse_loggers
from trainers.workflows.options import LoggerName


def test_options_offer_every_logger() -> None:
    assert set(get_args(LoggerName)) == LOGGERS.keys()


def test_names_are_separated_by_commas_or_repeated() -> None:
    assert parse_loggers(["tensorboard, wandb"]) == parse_loggers(["tensorboard", "wandb", "tensorboard"])
    assert parse_loggers(["none"]) == ()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("foo", "--log foo: there is no such logger; there are tensorboard, wandb, and none alone"),
        ("tensorbord", r"--log tensorbord: there is no such logger; did you mean 'tensorboard'\?"),
        ("none,wandb", "--log none: there is no such logger"),
        ("\x1b[1m", r"--log \\x1b\[1m: there is no such logger"),
    ],
)
def test_an_unknown_logger_is_answered(given: str, message: str) -> None:
    with pytest.raises(errors.UsageError, match=message):
        parse_loggers([given])


@pytest.mark.parametrize("name", LOGGERS)
def test_a_package_that_is_missing_is_refused_with_the_way_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_loggers([name])
    monkeypatch.setattr(table, "find_spec", lambda package: importlib.util.find_spec(f"absent_{package}"))
    with pytest.raises(errors.UsageError, match=rf"--log {name}: .* pip install 'actstore\[{name}\]'"):
        check_loggers([name])
