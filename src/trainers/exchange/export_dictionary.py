"""Write a dictionary for others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from actstore import did_you_mean, errors
from trainers.exchange.folder import write_folder
from trainers.exchange.formats.table import FORMATS
from trainers.exchange.new_folder import new_folder
from trainers.exchange.trained import TrainedDictionary

__all__ = ["EXPORTS", "OWN", "export_dictionary"]

OWN: Final = "safetensors"
"""Our own folder, which holds every dictionary."""
EXPORTS: Final = (OWN, *(name for name, one in FORMATS.items() if one.write is not None))


def export_dictionary(dictionary: TrainedDictionary, path: str | os.PathLike[str], *, to: str = OWN) -> None:
    """Write a dictionary into a new folder, in our own format or in that of another library.

    Weights are in raw units: whoever loads the folder gives it the rows of the model as they are.

    Parameters
    ----------
    dictionary
        From `trainers.load` or `trainers.import_dictionary`.
    path
        New folder.
    to
        `safetensors` (our own), `saelens`, `dictionary-learning`, `sparsify` or `crosscoder`.

    Raises
    ------
    UsageError
        If the format cannot hold the dictionary, there is no such format, or the folder exists and is not empty.
    TrainingError
        If it cannot be written.

    Examples
    --------
    ::

        trainers.export_dictionary(trainers.load("runs/sae"), "exported", to="saelens")
    """
    if to == OWN:
        write_folder(dictionary, Path(path))
        return
    write = FORMATS[to].write if to in FORMATS else None
    if write is None:
        raise errors.UsageError(
            f"no format {to!r} to export to{did_you_mean(to, EXPORTS)}; there are {', '.join(EXPORTS)}"
        )
    with new_folder(Path(path)) as partial:
        write(dictionary, partial)
