from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr

from actstore.contracts.progress import Silent
from benchmarks.contestants.contract import QUICK, Setting, Workload, site_name
from benchmarks.data.stream_rows import prepare_rows
from benchmarks.data.synthetic import SyntheticActivations


def test_the_flat_files_hold_what_the_float16_store_holds(setting: Setting) -> None:
    root = zarr.open_group(setting.folder / "float16", mode="r")
    flat_NX = setting.flat()
    assert flat_NX.shape == (QUICK.rows, setting.workload.columns)
    for site in range(setting.workload.sites):
        stored = np.asarray(root[f"sites/{site_name(site)}/values"])
        np.testing.assert_array_equal(flat_NX[:, site * QUICK.width : (site + 1) * QUICK.width], stored)
    np.testing.assert_array_equal(setting.sequence_N(), np.asarray(root["rows/sequence"]))


def test_rows_are_shuffled_within_a_task_and_all_there(stream_rows: Path) -> None:
    setting = Setting(stream_rows, QUICK, Workload.of("one_site", QUICK), seed=0)
    activations = SyntheticActivations(QUICK.rows, QUICK.sites, QUICK.width, QUICK.proteins)
    wanted = activations.site(0).astype(np.float16)
    assert sorted(map(bytes, setting.flat())) == sorted(map(bytes, wanted))
    assert (np.diff(setting.sequence_N()) != 0).mean() > 0.5


def test_rows_are_written_once_and_those_of_another_seed_are_refused(stream_rows: Path) -> None:
    flat = stream_rows / "flat" / "one_site.npy"
    before = flat.stat().st_mtime_ns
    prepare_rows(stream_rows, QUICK, seed=0, progress=Silent())
    assert flat.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="another scale or seed"):
        prepare_rows(stream_rows, QUICK, seed=1, progress=Silent())
    with pytest.raises(ValueError, match="another scale or seed"):
        prepare_rows(stream_rows, replace(QUICK, rows=5000), seed=0, progress=Silent())
