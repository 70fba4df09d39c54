"""The table of loggers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

from actstore import comma_separated, did_you_mean, errors
from trainers.loggers.logger import Logger
from trainers.loggers.tensorboard import TensorBoardLogger
from trainers.loggers.wandb import WandbLogger

__all__ = ["LOGGERS", "check_loggers", "parse_loggers"]

LOGGERS: Final[Mapping[str, type[Logger]]] = {"tensorboard": TensorBoardLogger, "wandb": WandbLogger}
_NONE: Final = "none"


def parse_loggers(values: Sequence[str]) -> tuple[str, ...]:
    """Return names of loggers, each once; ``none`` alone stands for no logger.

    Raises
    ------
    UsageError
        If there is no logger of a name.

    Examples
    --------
    >>> parse_loggers(["tensorboard,wandb", "wandb"]), parse_loggers(["none"])
    (('tensorboard', 'wandb'), ())
    """
    names = list(dict.fromkeys(comma_separated(values) or ()))
    if names == [_NONE]:
        return ()
    for name in names:
        if name not in LOGGERS:
            hint = did_you_mean(name, LOGGERS) or f"; there are {', '.join(LOGGERS)}, and {_NONE} alone"
            raise errors.UsageError(f"--log {ascii(name[:100])[1:-1]}: there is no such logger{hint}")
    return tuple(names)


def check_loggers(names: Iterable[str]) -> None:
    """Refuse loggers whose package is not installed.

    Raises
    ------
    UsageError
        With the command that installs it.
    """
    for name in names:
        package: Any = LOGGERS[name].package
        if find_spec(package) is None:
            raise errors.UsageError(
                f"--log {name}: the package {package} is not installed; pip install 'actstore[{name}]', or leave it "
                "out (a resumed run: --log none)"
            )
