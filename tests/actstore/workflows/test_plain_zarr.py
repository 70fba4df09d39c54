"""A store is plain Zarr: another program reads it with the documented formula and nothing of ours."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from actstore import open_stream

StoreOf = Callable[..., Path]

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
    elif q.dtype == np.uint16:
        floats.append((q.astype(np.uint32) << 16).view(np.float32))
    else:
        floats.append(q.astype(np.float32))
np.savez(out, values=np.stack(floats, axis=1), **{name: root[f"rows/{name}"][:] for name in ("sequence", "position")})
assert not [name for name in sys.modules if name.split(".")[0] == "actstore"]
"""


@pytest.mark.parametrize(
    ("encoding", "compressor"),
    [("int8", "none"), ("float16", "zstd"), ("bfloat16", "blosc")],
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


def test_every_array_opens_and_its_attributes_say_what_it_is(store_of: StoreOf) -> None:
    root: Any = zarr.open_group(store_of(), mode="r")
    assert root.attrs["actstore"]["format"] == "actstore/1"
    assert {name for name, _ in root["rows"].arrays()} == {"sequence", "position", "token"}
    assert {name for name, _ in root["sites"].groups()} == {"embed", "resid_post.0", "resid_post.1", "final_norm"}
    for name, group in root["sites"].groups():
        values = group["values"]
        assert values.attrs["actstore"] == {"encoding": "int8", "site": name, "module": f"fake.{name}"}
        assert (values.shards, values.chunks) == ((1024, 16), (64, 16))
