from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from actstore import copy_store, inspect_store, open_manifest, open_store, open_stream, subset_manifest, verify_store
from actstore.errors import CorruptObjectError, IncompleteStoreError, ManifestError, UsageError
from actstore.store.read.manifest_files import read_manifest_file
from actstore.store.write.statistics import StatisticsMerger
from actstore.workflows.diff_manifests import diff_manifests
from actstore.workflows.relocate_manifest import relocate_manifest
from tests.actstore.cli.command import actstore
from tests.actstore.store.damage import flip

StoreOf = Callable[..., Path]


def test_a_reader_cannot_tell_it_from_a_copy_of_the_part(store_of: StoreOf, tmp_path: Path) -> None:
    chosen = {"sites": ["embed", "final_norm"], "splits": ["train", "valid"], "tasks": 2}
    subset_manifest(store_of(), tmp_path / "part.json", **chosen)  # type: ignore[arg-type]
    copy_store(store_of(), tmp_path / "copy", **chosen)  # type: ignore[arg-type]
    assert open_manifest(tmp_path / "part.json").digest == open_manifest(tmp_path / "copy").digest
    one, other = (inspect_store(place)._replace(uri=None) for place in (tmp_path / "part.json", tmp_path / "copy"))
    assert one == other
    with open_store(tmp_path / "part.json") as part, open_store(tmp_path / "copy") as copy:
        np.testing.assert_array_equal(part[:].values_NSD, copy[:].values_NSD)
        assert len(part) == part.manifest.rows
    for place in ("part.json", "copy"):
        with open_stream(tmp_path / place, batch_rows=100) as stream:
            assert stream.report().rows == 0
            rows = np.concatenate([batch.row_B.copy() for batch in stream])
        assert sorted(rows.tolist()) == list(range(2 * 1024))


def test_sites_alone_need_no_statistics_of_tasks(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subset_manifest(store_of(), tmp_path / "slow.json", sites="embed", tasks=10**6)
    monkeypatch.setattr(StatisticsMerger, "load", lambda *_: pytest.fail("statistics were read"))
    subset_manifest(store_of(), tmp_path / "part.json", sites="embed")
    assert read_manifest_file(tmp_path / "part.json").digest == read_manifest_file(tmp_path / "slow.json").digest


def test_the_store_below_is_checked_as_with_any_manifest(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    subset_manifest(store, tmp_path / "part.json", sites="embed", splits="train")
    moved = store.rename(tmp_path / "moved")
    relocate_manifest(tmp_path / "part.json", str(moved))
    assert len(open_store(tmp_path / "part.json")) == open_manifest(tmp_path / "part.json").rows
    assert verify_store(str(tmp_path / "part.json"), recompute=False).ok
    (moved / "commits/0.json").write_bytes((moved / "commits/1.json").read_bytes())
    (moved / "manifest.json").unlink()
    with pytest.raises(CorruptObjectError, match=r"commits/0.json is the commit of task 1"):
        open_manifest(tmp_path / "part.json")


def test_only_the_part_is_verified(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    subset_manifest(store, tmp_path / "part.json", sites="embed", splits="train", tasks=2)
    manifest = open_manifest(tmp_path / "part.json")
    flip(store / "sites/final_norm/values/c/0/0", 100)
    flip(store / "sites/embed/values/c/2/0", 100)
    verified = verify_store(str(tmp_path / "part.json"), recompute=False)
    assert (verified.faults, verified.tasks_done, verified.tasks_total) == ((), 2, 2)
    assert verified.bytes == manifest.stored.total
    flip(store / "sites/embed/values/c/1/0", 100)
    (store / "rows/token/c/0").unlink()
    found = verify_store(str(tmp_path / "part.json"), recompute=False)
    assert [fault.object for fault in found.faults] == ["rows/token/c/0", "sites/embed/values/c/1/0"]


def test_a_manifest_of_the_whole_does_not_describe_the_copy_of_a_part(store_of: StoreOf, tmp_path: Path) -> None:
    copy_store(store_of(), tmp_path / "copy", sites="embed")
    with pytest.raises(ManifestError, match="has other content"):
        relocate_manifest(store_of() / "manifest.json", str(tmp_path / "copy"), out=tmp_path / "whole.json")
    found = diff_manifests(store_of(), tmp_path / "copy")
    assert not found.same
    assert found.tasks_differing == 0


def test_what_makes_no_part_is_refused(own_store: StoreOf, tmp_path: Path) -> None:
    store = own_store()
    with pytest.raises(UsageError, match="all of it was chosen"):
        subset_manifest(store, tmp_path / "part.json")
    subset_manifest(store, tmp_path / "part.json", sites="embed")
    with pytest.raises(ManifestError, match="exists"):
        subset_manifest(store, tmp_path / "part.json", sites="embed")
    with pytest.raises(UsageError, match="all of it was chosen"):
        subset_manifest(tmp_path / "part.json", tmp_path / "again.json", sites="*")
    (store / "manifest.json").unlink()
    (store / "commits/0.json").unlink()
    with pytest.raises(IncompleteStoreError, match=r"1 of 2 chosen tasks"):
        subset_manifest(store, tmp_path / "train.json", splits="train", tasks=2)
    assert subset_manifest(store, tmp_path / "valid.json", splits="valid").complete


def test_the_command_writes_one(store_of: StoreOf, tmp_path: Path) -> None:
    file = tmp_path / "part.json"
    done = actstore("manifest", "subset", store_of(), "--site", "embed", "--tasks", "10%", "-o", file, "--json")
    assert done.code == 0, done.err
    assert done.document["manifest_sha256"] == read_manifest_file(file).digest
    assert (done.document["whole_sites"], len(done.document["sites"])) == (4, 1)
    again = actstore("manifest", "subset", store_of(), "--site", "embed", "-o", tmp_path / "embed.json")
    assert "trainerread-from-store" in "".join(again.out.split())
