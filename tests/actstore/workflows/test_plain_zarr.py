"""A store is plain Zarr: another program reads it with the documented formula and nothing of ours."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from actstore import open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.planes import Float32s
from actstore.contracts.recipe import Recipe
from actstore.testing.fake_model import FakeModel
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store
from tests.actstore.workflows.stores import plain_rows

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]

READER = """
import json, sys
import numpy as np, zarr

store, out = sys.argv[1:]
root = zarr.open(store, mode="r")
sites = [name for name, module, width in json.load(open(f"{store}/recipe.json"))["sites"]]
floats = []
for column, site in enumerate(sites):
    q = root[f"sites/{site}/values"][:]
    if q.dtype == np.int8:
        row = root["scales/row"][:, column].astype(np.float32)
        center, channel = root[f"sites/{site}/center"][:], root[f"sites/{site}/channel"][:]
        floats.append(center + channel * row[:, None] * q)
    elif q.dtype == np.uint8:
        center, channel = root[f"sites/{site}/center"][:], root[f"sites/{site}/channel"][:]
        d = np.arange(len(center))
        wide = 2 * -(-len(d) // (2 * max(1, len(d) // 128)))
        group = root["scales/group"][:, column].astype(np.float32)
        q = (q[:, d // 2] >> (4 * (d % 2)).astype(np.uint8)) % 16
        floats.append(center + channel * group[:, d // wide] * (q.astype(np.float32) - 8))
    elif q.dtype == np.uint16:
        floats.append((q.astype(np.uint32) << 16).view(np.float32))
    else:
        floats.append(q.astype(np.float32))
np.savez(out, values=np.stack(floats, axis=1), **{name: root[f"rows/{name}"][:] for name in ("sequence", "position")})
assert not [name for name in sys.modules if name.split(".")[0] == "actstore"]
"""


@pytest.mark.parametrize(
    ("encoding", "compressor"),
    [("int8", "none"), ("int4", "none"), ("int4", "zstd"), ("float16", "zstd"), ("bfloat16", "blosc")],
)
def test_another_program_gets_the_floats_that_a_stream_gives(
    encoding: str, compressor: str, store_of: StoreOf, tmp_path: Path
) -> None:
    store = store_of(**{"store.encoding": encoding, "store.compressor": compressor})
    subprocess.run([sys.executable, "-c", READER, store, tmp_path / "rows.npz"], check=True, timeout=120)
    with np.load(tmp_path / "rows.npz") as plain:
        values_NSD, sequence_N = plain["values"], plain["sequence"]
    seen = np.zeros(len(sequence_N), dtype=np.bool_)
    with open_stream(store, split=None, batch_rows=1000) as stream:
        for batch in stream:
            # The order of the multiplications is not part of the formula.
            np.testing.assert_allclose(values_NSD[batch.row_B], batch.values_BSD, rtol=1e-5, atol=1e-4)
            np.testing.assert_array_equal(sequence_N[batch.row_B], batch.sequence_B)
            seen[batch.row_B] = True
    # What no residue fills, between the last row of a split and the next task, says so.
    assert (sequence_N[~seen] == -1).all()
    assert (sequence_N[seen] >= 0).all()
    assert 0 < (~seen).sum() < len(seen) / 2


class TwoWidths(FakeModel):
    """Sites of 300 and of 21 features: two groups of channels, and one with half a byte to spare."""

    def __init__(self) -> None:
        super().__init__(sites=["wide", "narrow"], width=300)
        self._sites = (self._sites[0], self._sites[1]._replace(width=21))

    def activations(self, residues: Sequence[str], kept: Sequence[NDArray[np.int32]]) -> Mapping[str, Float32s]:
        rows = super().activations(residues, kept)
        return {"wide": rows["wide"], "narrow": rows["narrow"][:, :21]}


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
    assert root.attrs["actstore"]["format"] == "actstore/1"
    assert {name for name, _ in root["rows"].arrays()} == {"sequence", "position", "token"}
    assert {name for name, _ in root["sites"].groups()} == {"embed", "resid_post.0", "resid_post.1", "final_norm"}
    for name, group in root["sites"].groups():
        values = group["values"]
        assert values.attrs["actstore"] == {"encoding": "int8", "site": name, "module": f"fake.{name}"}
        assert (values.shards, values.chunks) == ((1024, 16), (64, 16))
