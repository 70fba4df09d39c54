import warnings
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks.contestants.contract import Setting
from benchmarks.contestants.table import CONTESTANTS, open_contestant, prepare_contestant
from benchmarks.contestants.worker import Probe

INSTALLED = [
    name for name, entry in CONTESTANTS.items() if all(find_spec(package) is not None for package in entry.packages)
]


@pytest.mark.parametrize("name", CONTESTANTS)
def test_every_row_of_the_table_names_functions_that_exist(name: str) -> None:
    entry = CONTESTANTS[name]
    module = import_module(f"benchmarks.{entry.module}")
    assert callable(getattr(module, f"open_{entry.function}"))
    assert entry.own_rows == hasattr(module, f"prepare_{entry.function}")
    assert entry.prepared_as is None or CONTESTANTS[entry.prepared_as].own_rows


@pytest.mark.parametrize("name", INSTALLED)
def test_every_variant_delivers_each_row_once_as_float32(name: str, setting: Setting) -> None:
    with warnings.catch_warnings():
        if CONTESTANTS[name].packages:
            warnings.simplefilter("ignore")  # of peers
        prepare_contestant(name, setting)
        contestant = open_contestant(name, setting)
        for number, variant in enumerate(contestant.variants):
            contestant.use(variant)
            probe = Probe(setting, contestant)
            for batch in contestant.epoch(number):
                probe.see(batch)
                if batch.row_B is not None:
                    assert np.asarray(batch.values_BX).dtype == np.float32 or name == "annbatch_float16"
            assert probe.result()["exactly_once"] is (None if name == "pread" else True), variant
        contestant.close()
