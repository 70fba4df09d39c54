"""Event files of TensorBoard, in the folder `tensorboard` of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final

from trainers.loggers.logger import LoggedRun
from trainers.loggers.marks import Marks

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoardLogger"]

_FOLDER: Final = "tensorboard"


class TensorBoardLogger:
    """Writes scalars. A run that goes on takes back the steps after its checkpoint, which it does again."""

    package: ClassVar = "tensorboard"

    _writer: SummaryWriter
    _marks: Marks
    _step: int

    def start(self, run: LoggedRun) -> int:
        """Begin an event file; see `Logger`."""
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes a second

        self._marks = Marks(run.folder / _FOLDER)
        self._step = min(self._marks.step, run.step)
        self._writer = SummaryWriter(run.folder / _FOLDER, purge_step=self._step + 1)
        if not self._step:
            config = json.dumps(run.config, indent=2, default=str)
            self._writer.add_text("config", "\n".join(f"    {line}" for line in config.splitlines()), 0)
        return self._step

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add a scalar for each metric."""
        self._step = step
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Write what waits."""
        self._writer.flush()
        if self._step > self._marks.step:
            self._marks.add(self._step)

    def finish(self, result: Mapping[str, float] | None) -> None:
        """Add the result, and close the file."""
        for name, value in (result or {}).items():
            self._writer.add_scalar(f"result/{name}", value, self._step)
        self.flush()
        self._writer.close()
        self._marks.close()
