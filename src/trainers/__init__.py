"""Sparse autoencoders and crosscoders, trained from a store.

The names below are the public interface, imported when first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trainers.exchange.codes import SparseCode
    from trainers.exchange.export_dictionary import export_dictionary
    from trainers.exchange.import_dictionary import import_dictionary
    from trainers.exchange.load import load
    from trainers.exchange.on_model import OnModel
    from trainers.exchange.trained import TrainedDictionary

__all__ = ["OnModel", "SparseCode", "TrainedDictionary", "export_dictionary", "import_dictionary", "load"]

_HOME: Final = {
    "OnModel": "trainers.exchange.on_model",
    "SparseCode": "trainers.exchange.codes",
    "TrainedDictionary": "trainers.exchange.trained",
    "export_dictionary": "trainers.exchange.export_dictionary",
    "import_dictionary": "trainers.exchange.import_dictionary",
    "load": "trainers.exchange.load",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'trainers' has no public name {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return __all__
