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

    Weights are in raw units: whoever loads the folder gives it the rows of the model as they are. Of a model that is a
    local folder, the name of the folder is written without its path.

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
        If it is no dictionary, or the format cannot hold it, there is no such format, or the folder exists and is not
        empty.
    TrainingError
        If it cannot be written.

    Examples
    --------
    ::

        trainers.export_dictionary(trainers.load("runs/sae"), "exported", to="saelens")
    """
    _refuse_other_kinds(dictionary, path)
    if to == OWN:
        write_folder(dictionary, Path(path))
        return
    write = FORMATS[to].write if isinstance(to, str) and to in FORMATS else None
    if write is None:
        raise errors.UsageError(
            f"no format {to!r} to export to{did_you_mean(str(to), EXPORTS)}; there are {', '.join(EXPORTS)}"
        )
    public = TrainedDictionary(dictionary.facts.public, dict(dictionary.named_buffers()))
    with new_folder(Path(path)) as partial:
        write(public, partial)


def _refuse_other_kinds(dictionary: object, path: object) -> None:
    """Raise `UsageError` unless these are a dictionary in memory and a path."""
    if not isinstance(dictionary, TrainedDictionary):
        load = (
            f"a dictionary: trainers.export_dictionary(trainers.load({os.fspath(dictionary)!r}), ...)"
            if isinstance(dictionary, (str, os.PathLike))
            else "what trainers.load or trainers.import_dictionary returns"
        )
        raise errors.UsageError(f"the dictionary to export is a {type(dictionary).__name__}; give {load}")
    if not isinstance(path, (str, os.PathLike)):
        raise errors.UsageError(
            f"the folder to export to is a {type(path).__name__}; give a path: "
            'trainers.export_dictionary(dictionary, "exported")'
        )
