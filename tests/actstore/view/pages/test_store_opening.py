"""The lines on the page are run as they stand there."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from actstore.store.browse.store import open_store
from actstore.view.pages.store_opening import opening
from actstore.workflows.copy_store import copy_store
from tests.actstore.cli.command import actstore
from tests.actstore.view.pages.stores import facts_of

StoreOf = Callable[..., Path]


def lines(store: Path, identity: str) -> str:
    page = "".join(opening(facts_of(store)))
    [found] = re.findall(rf'<code id="{identity}">(.*?)</code>', page, re.DOTALL)
    return unescape(found)


def run(program: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int8", "int4"])
def test_zarr_and_numpy_alone_give_the_rows(encoding: str, store_of: StoreOf, tmp_path: Path) -> None:
    store = store_of(**{"store.encoding": encoding})
    run(lines(store, "open-zarr") + f"\nimport numpy\nnumpy.save({str(tmp_path / 'x.npy')!r}, x)", tmp_path)
    found_ND = np.load(tmp_path / "x.npy")
    with open_store(store) as opened:
        expected_ND = opened.site(opened.sites[-1])[: len(found_ND)]
    assert len(found_ND) == 1000
    np.testing.assert_allclose(found_ND, expected_ND, rtol=1e-6, atol=1e-6)


def test_zarr_and_numpy_alone_give_the_rows_of_a_part(store_of: StoreOf, tmp_path: Path) -> None:
    """Scales of all sites stay together, so the column of a site is that in the whole store."""
    copy_store(store_of(), tmp_path / "part", sites="resid_post.0", splits="valid")
    run(lines(tmp_path / "part", "open-zarr") + f"\nimport numpy\nnumpy.save({str(tmp_path / 'x.npy')!r}, x)", tmp_path)
    found_ND = np.load(tmp_path / "x.npy")
    with open_store(tmp_path / "part") as part:
        np.testing.assert_allclose(found_ND, part.site("resid_post.0")[: len(found_ND)], rtol=1e-6, atol=1e-6)
    assert "split='valid'" in lines(tmp_path / "part", "open-stream")
    assert "--split valid" in lines(tmp_path / "part", "open-train")


def test_our_own_lines_run(store_of: StoreOf, tmp_path: Path) -> None:
    store = store_of()
    run(lines(store, "open-python") + "\nassert protein.values_ND.shape[1] == 16 and len(protein.residues)", tmp_path)
    run(lines(store, "open-stream") + "\n        break\nassert batch.values_BSD.shape[1:] == (1, 16)", tmp_path)


def test_the_command_makes_the_table(store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(lines(store_of(), "open-table"))
    monkeypatch.chdir(tmp_path)
    assert actstore(*words[1:]).code == 0
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 1001


def test_what_is_there_of_an_unfinished_store_is_opened(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    (store / "manifest.json").unlink()
    (store / "commits" / "0.json").unlink()
    run(lines(store, "open-stream") + "\n        break\nassert batch.values_BSD.shape[1:] == (1, 16)", tmp_path)
    assert lines(store, "open-train").endswith(" --allow-incomplete")
    assert " --rows 1024-2023 " in lines(store, "open-table")
    assert "slice(1024, 2024)" in lines(store, "open-zarr")


def test_an_address_is_quoted_where_it_is_code(store_of: StoreOf) -> None:
    odd = "/data/it's; $(touch x)"
    page = unescape("".join(opening(facts_of(store_of())._replace(uri=odd))))
    assert f"open_store({odd!r})" in page
    assert f"read-from-store {shlex.quote(odd)} --dictionary" in page
