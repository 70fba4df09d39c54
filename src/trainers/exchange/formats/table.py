"""The formats that dictionaries are written in and read from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainers.exchange.formats.crosscoder import read_crosscoder, recognise_crosscoder, write_crosscoder
from trainers.exchange.formats.dictionary_learning import (
    read_dictionary_learning,
    recognise_dictionary_learning,
    write_dictionary_learning,
)
from trainers.exchange.formats.esmc import read_esmc, recognise_esmc
from trainers.exchange.formats.folder import ForeignFolder
from trainers.exchange.formats.foreign import Foreign
from trainers.exchange.formats.interplm import read_interplm, recognise_interplm
from trainers.exchange.formats.saelens import read_saelens, recognise_saelens, write_saelens
from trainers.exchange.formats.sparsify import read_sparsify, recognise_sparsify, write_sparsify
from trainers.exchange.trained import TrainedDictionary

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format of another library."""

    title: str
    """As people call it."""
    recognise: Callable[[ForeignFolder], bool]
    """Whether a folder looks like one."""
    read: Callable[[ForeignFolder], Foreign]
    write: Callable[[TrainedDictionary, Path], None] | None = None
    """Writes into an empty folder; None for a format that is only read."""


FORMATS: Final[Mapping[str, Format]] = {
    "saelens": Format("SAELens", recognise_saelens, read_saelens, write_saelens),
    "dictionary-learning": Format(
        "dictionary_learning", recognise_dictionary_learning, read_dictionary_learning, write_dictionary_learning
    ),
    "sparsify": Format("sparsify", recognise_sparsify, read_sparsify, write_sparsify),
    "crosscoder": Format("crosscoder", recognise_crosscoder, read_crosscoder, write_crosscoder),
    "interplm": Format("InterPLM", recognise_interplm, read_interplm),
    "esmc": Format("ESMC", recognise_esmc, read_esmc),
}
"""By the name that commands take."""
