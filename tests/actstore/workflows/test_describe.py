from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import actstore as public
from actstore.contracts.progress import Silent
from actstore.errors import CorruptObjectError, StoreNotFoundError, UsageError
from actstore.store.read.open import locate_store
from actstore.workflows.describe import describe_store, write_store_page
from actstore.workflows.inspect import inspect_store
from tests.actstore.cli.command import actstore
from tests.actstore.workflows.stores import contents

StoreOf = Callable[..., Path]


def test_it_returns_what_inspect_returns_and_leaves_the_store_alone(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    before = contents(store)
    report = public.write_store_page(store, tmp_path / "page.html")
    assert report == inspect_store(store)
    assert contents(store) == before


def test_batches_of_the_default_stream_are_measured(store_of: StoreOf) -> None:
    mixing = describe_store(*locate_store(store_of()), progress=Silent()).mixing
    assert mixing is not None
    assert mixing.split == "train"
    assert mixing.report.batches == 2
    assert 0.9 <= mixing.report.distinct_ratio <= 1.1


def test_a_remote_store_has_the_same_page(store_of: StoreOf, tmp_path: Path) -> None:
    remote = f"memory://{tmp_path.name}/store"
    fsspec.filesystem("memory").put(f"{store_of()}/", remote, recursive=True)
    pages = []
    for place in (str(store_of()), remote):
        write_store_page(place, tmp_path / "page.html")
        pages.append((tmp_path / "page.html").read_text("utf-8").replace(place, "PLACE"))
    assert pages[0] == pages[1].replace(remote.replace("memory://", "memory:///"), "PLACE")


def test_the_environment_of_a_training_job_does_not_matter(store_of: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = describe_store(*locate_store(store_of()), progress=Silent()).mixing
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert describe_store(*locate_store(store_of()), progress=Silent()).mixing == alone


class TestTheCommand:
    def test_writes_the_page_and_prints_the_report(self, store_of: StoreOf, tmp_path: Path) -> None:
        page = tmp_path / "page.html"
        done = actstore("inspect", store_of(), "--html", page, "--json", "--quiet")
        assert (done.code, done.err) == (0, "")
        assert done.document == actstore("inspect", store_of(), "--json").document
        assert page.read_text("utf-8").startswith("<!doctype html>")

    def test_takes_a_manifest_file(self, store_of: StoreOf, tmp_path: Path) -> None:
        assert actstore("manifest", "export", store_of(), "--out", tmp_path / "m.json").code == 0
        done = actstore("inspect", tmp_path / "m.json", "--html", tmp_path / "page.html")
        assert done.code == 0
        assert done.err.endswith(f"the page is {tmp_path / 'page.html'}\n")
        assert str(store_of()) in (tmp_path / "page.html").read_text("utf-8")

    def test_refuses_to_write_into_a_store_before_it_reads_anything(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        (store / "sequences.parquet").unlink()
        done = actstore("inspect", store, "--html", store / "page.html")
        assert done.code == 2
        assert "lies in the store" in done.err
        assert not (store / "page.html").exists()


def test_damage_is_an_error_and_no_page(own_store: StoreOf, tmp_path: Path) -> None:
    store, page = own_store(), tmp_path / "page.html"
    for shard in (store / "sites" / "embed" / "values" / "c").glob("*/0"):
        shard.write_bytes(bytes(len(shard.read_bytes())))
    with pytest.raises(CorruptObjectError, match="sites/embed/values"):
        write_store_page(store, page)
    assert not page.exists()


def test_rows_that_the_sequences_do_not_have_are_damage(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    table = pq.read_table(store / "sequences.parquet")
    none = pa.array([0] * len(table), pa.int32())
    table = table.set_column(4, table.schema.field("rows"), none)
    pq.write_table(table, store / "sequences.parquet", row_group_size=1024, write_page_checksum=True)
    with pytest.raises(CorruptObjectError, match=r"sequences\.parquet has 0 rows in the split train, the recipe"):
        write_store_page(store, tmp_path / "page.html")


def test_a_place_without_a_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFoundError, match="no activation store here"):
        write_store_page(tmp_path, tmp_path / "page.html")
    with pytest.raises(UsageError, match="no folder"):
        write_store_page(tmp_path, tmp_path / "no" / "page.html")
