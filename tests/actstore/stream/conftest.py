from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.contracts.planes import Planes
from actstore.contracts.windows import RowWindow
from actstore.quantize.table import QUANTIZERS
from actstore.store.layout import values_path
from actstore.store.open import open_store
from actstore.store.reader import StoreReader

Decoded = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="session")
def decoded_rows(store_of: Callable[..., Path]) -> Callable[..., Decoded]:
    """Return all rows of a store at each site, [array rows, D]: read shard by shard and decoded; holes are NaN."""

    def decoded(**changes: Any) -> Decoded:
        manifest, objects = open_store(store_of(**changes))
        frozen, quantizer = manifest.frozen, QUANTIZERS[manifest.encoding]
        reader = StoreReader(objects, manifest, [])
        found = {}
        for index, site in enumerate(manifest.sites):
            found[site.name] = np.full((frozen.tasks * 1024, site.width), np.nan, np.float32)
            for task in range(frozen.tasks):
                window = RowWindow(task, 0, frozen.rows_of(task))
                scale_N = reader.rows("scales/row", window)[:, index] if quantizer.calibrated else None
                planes = Planes(reader.rows(values_path(site.name), window), scale_N)
                here = slice(task * 1024, task * 1024 + window.stop)
                found[site.name][here] = quantizer.decode(planes, frozen.site_calibration(site.name))
        return found

    return decoded
