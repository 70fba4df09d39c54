"""What a user decides about where and how a run happens: nothing that changes its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["LiveMode", "RunOptions"]

LiveMode = Literal["online", "compute", "store"]
"""Which rows the model computes: all of them; those that the store does not have; those, and it commits them."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Circumstances of a run, as they were asked for. A workflow resolves them once."""

    out: Path | None = None
    """Folder of the run; None for ``runs/<dictionary>-<sites>-seed<seed>``."""
    resume: bool = False
    """Go on from the newest checkpoint in `out`."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; `auto` takes CUDA where there is one."""
    buffer_bytes: int = 256 << 20
    """Memory of the shuffle buffer. A cursor is bound to it: resume with the same."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is always one at the end."""
    evaluation_rows: int = 100_000
    """Most rows to evaluate on."""
    allow_incomplete: bool = False
    """Read what there is of a store whose extraction has not finished; without effect where all rows are computed."""
    storage_options: Mapping[str, Any] | None = None
    """Passed to fsspec."""
    cache: Path | None = None
    """Folder on a local disk that keeps what is read of a store far away."""
    cache_bytes: int | None = None
    """How much it may hold."""
    live: LiveMode | None = None
    """Which rows the model computes; None for none of them."""
    recipe_options: Mapping[str, Any] | None = None
    """Values that take precedence over those of a recipe, by dotted key; where all rows are computed."""
    model_device: str = "auto"
    """Where the model runs, as `device`."""
    most_passes: float = 1.0
    """How often an epoch may compute each task that is not read, in the mean."""
