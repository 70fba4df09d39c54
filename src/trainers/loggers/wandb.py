"""Runs of Weights & Biases, with their files in the folder `wandb` of a run."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from trainers.loggers.logger import LoggedRun
from trainers.loggers.marks import Marks

if TYPE_CHECKING:
    import wandb

__all__ = ["WandbLogger"]

_FOLDER: Final = "wandb"
_UPLOAD_S: Final = 120.0
"""How long the end of a run waits for uploads. What is left over stays in the folder, for `wandb sync`."""
_STOPPED_UPLOAD_S: Final = 1.5
"""The same for a run that was stopped: a command ends within five seconds of a signal."""
_SETTINGS: Final[Mapping[str, Any]] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "finish_timeout": _UPLOAD_S,
    "quiet": True,
    "save_code": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""Nothing is collected that the user did not give."""


class WandbLogger:
    """Logs to Weights & Biases; project, name, entity, group and mode come from the environment, as W&B has them.

    A run that goes on in its folder goes on with the same run of W&B. It gets settings of training and metrics; no
    command line, no code, no list of packages, and nothing of the environment but what is meant for W&B.
    """

    package: ClassVar = "wandb"

    _run: wandb.Run
    _marks: Marks

    def start(self, run: LoggedRun) -> int:
        """Begin a run of W&B, or continue one; see `Logger`."""
        import wandb  # noqa: PLC0415 - takes a second

        self._marks = Marks(run.folder / _FOLDER)
        known = self._marks.run_id
        run_id = known or os.environ.get("WANDB_RUN_ID") or secrets.token_hex(4)
        named = os.environ.get("WANDB_NAME") is not None or known is not None
        try:
            self._run = wandb.init(
                dir=run.folder,
                id=run_id,
                name=None if named else run.folder.name,
                config=dict(run.config),
                resume="allow",
                settings=wandb.Settings(**_SETTINGS),
            )
        except BaseException:
            self._marks.close()
            raise
        if known is None:
            self._marks.name(run_id)
        return self._marks.step

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics. The step is marked first: a kill may lose it here, and never brings it twice."""
        self._marks.add(step)
        self._run.log(dict(metrics), step=step, commit=True)

    def flush(self) -> None:
        """Do nothing: the metrics are with another process, which survives this one."""

    def finish(self, result: Mapping[str, float] | None) -> None:
        """Put the result into the summary, and wait for uploads, but not forever."""
        self._marks.close()
        if result is None:
            # Not in this thread: the uploads go on in the process of W&B, and this one has to say how to go on.
            ending = threading.Thread(target=self._run.finish, kwargs={"exit_code": 1}, daemon=True)
            ending.start()
            ending.join(_STOPPED_UPLOAD_S)
            return
        self._run.summary.update({f"result/{name}": value for name, value in result.items()})
        self._run.finish(exit_code=0)
