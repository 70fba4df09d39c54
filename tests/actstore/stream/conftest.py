from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore.access.open import LocalObjects, open_objects
from actstore.contracts.planes import Planes
from actstore.contracts.windows import RowWindow
from actstore.quantize.table import QUANTIZERS
from actstore.store.format.layout import scales_path, values_path
from actstore.store.read.open import locate_store
from actstore.store.read.reader import ArrayReader

Decoded = dict[str, NDArray[np.float32]]


@pytest.fixture(scope="session")
def decoded_rows(store_of: Callable[..., Path]) -> Callable[..., Decoded]:
    """Return all rows of a store at each site, [array rows, D]: read shard by shard and decoded; holes are NaN."""

    def decoded(**changes: Any) -> Decoded:
        manifest, objects = locate_store(store_of(**changes))
        frozen, quantizer = manifest.frozen, QUANTIZERS[manifest.encoding]
        task_rows = frozen.recipe.store.task_rows
        reader = ArrayReader(objects, manifest)
        found = {}
        for index, site in enumerate(manifest.sites):
            found[site.name] = np.full((frozen.tasks * task_rows, site.width), np.nan, np.float32)
            for task in range(frozen.tasks):
                window = RowWindow(task, 0, frozen.rows_of(task))
                scale_NG = None
                if quantizer.scales is not None:
                    scale_NG = reader.rows(scales_path(quantizer), window)[:, index].reshape(window.stop, -1)
                planes = Planes(reader.rows(values_path(site.name), window), scale_NG)
                here = slice(task * task_rows, task * task_rows + window.stop)
                found[site.name][here] = quantizer.decode(planes, frozen.site_calibration(site.name))
        return found

    return decoded


@pytest.fixture(scope="session")
def remote_of() -> Callable[[Path], str]:
    """Return the URL of a copy of a store on a filesystem that is not local."""

    def remote(folder: Path) -> str:
        local, uri = LocalObjects(folder), f"memory://{uuid4().hex}/store"
        objects = open_objects(uri)
        for path in local.sizes():
            objects.put(path, local.get(path))
        return uri

    return remote
