"""A store is plain Zarr: any library opens it, and the documented formula gives its values."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store
from tests.actstore.workflows.stores import TwoWidths, plain_rows

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]


def test_int4_of_sites_with_different_numbers_of_groups(recipe_of: RecipeOf, tmp_path: Path) -> None:
    changes = {"sites": ["wide", "narrow"], "rows.fraction": 0.05, "splits.fractions": {"train": 1.0}}
    stores = {}
    for encoding in ("int4", "bfloat16"):
        extract_with(
            TwoWidths(), LocalObjects(tmp_path / encoding), recipe_of(**changes, **{"store.encoding": encoding})
        )
        stores[encoding] = plain_rows(tmp_path / encoding)
    scales: Any = zarr.open_array(tmp_path / "int4/scales/group", mode="r")
    assert scales.shape[1:] == (2, 2)
    assert not scales[:, 1, 1].any()
    for site, want_ND in stores["bfloat16"].values.items():
        allowed_ND = stores["int4"].step[site] / 2 + np.abs(want_ND) * 2.0**-8 + 1e-5
        assert (np.abs(stores["int4"].values[site] - want_ND) <= allowed_ND).all()
        report = inspect_store(tmp_path / "int4").sites[site]
        assert (report.width, (report.sqnr_median_db or 0) > 18) == (want_ND.shape[1], True)


def test_every_array_opens_and_its_attributes_say_what_it_is(store_of: StoreOf) -> None:
    root: Any = zarr.open_group(store_of(), mode="r")
    assert root.attrs["actstore"]["format"] == "actstore/2"
    assert {name for name, _ in root["rows"].arrays()} == {"sequence", "position", "token"}
    assert {name for name, _ in root["sites"].groups()} == {"embed", "resid_post.0", "resid_post.1", "final_norm"}
    for name, group in root["sites"].groups():
        values = group["values"]
        assert values.attrs["actstore"] == {"encoding": "int8", "site": name, "module": f"fake.{name}"}
        assert (values.shards, values.chunks) == ((1024, 16), (64, 16))
