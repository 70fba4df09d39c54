import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from actstore import copy_store, open_manifest, open_store, open_stream, repair_store, verify_store
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import CorruptObjectError, MissingObjectError, NoSplitError, SiteError, StoreError, UsageError
from actstore.testing.fake_model import FakeModel
from actstore.workflows.export_manifest import export_manifest
from actstore.workflows.extract import extract_with
from actstore.workflows.inspect import inspect_store
from actstore.workflows.sharing import room
from tests.actstore.cli.command import actstore
from tests.actstore.store.damage import flip

StoreOf = Callable[..., Path]
RecipeOf = Callable[..., Recipe]
ENCODINGS = ("int8", "int4", "float16", "bfloat16")
TWO_SITES = ("resid_post.1", "final_norm")


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


class TestWholeStores:
    def test_a_copy_has_the_same_bytes(self, store_of: StoreOf, tmp_path: Path) -> None:
        report = copy_store(store_of(), tmp_path / "copy")
        assert content(tmp_path / "copy") == content(store_of())
        assert (report.complete, report.tasks_before) == (True, 0)
        assert report.manifest_sha256 == open_manifest(store_of()).digest

    def test_compressed_stores_too(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(**{"store.compressor": "zstd"})
        copy_store(store, tmp_path / "copy")
        assert content(tmp_path / "copy") == content(store)

    def test_between_any_two_places(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), "memory://copies/one")
        copy_store("memory://copies/one", "memory://copies/two", sites="embed")
        copy_store("memory://copies/two", tmp_path / "copy")
        assert open_store(tmp_path / "copy").sites == ("embed",)
        copy_store("memory://copies/one", tmp_path / "whole")
        assert content(tmp_path / "whole") == content(store_of())

    def test_an_incomplete_store_is_copied_as_far_as_it_is(
        self, own_store: StoreOf, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        store, whole = own_store(), tmp_path / "whole"
        shutil.copytree(store, whole)
        (store / "manifest.json").unlink()
        (store / "commits" / "1.json").unlink()
        report = copy_store(store, tmp_path / "copy")
        assert not report.complete
        assert open_manifest(tmp_path / "copy").commits[1] is None
        assert copy_store(whole, tmp_path / "copy").objects == len(open_manifest(whole).frozen.task_arrays)
        assert content(tmp_path / "copy") == content(whole)

    def test_a_copy_can_be_extracted_further(
        self, own_store: StoreOf, fake_model: FakeModel, store_of: StoreOf, tmp_path: Path
    ) -> None:
        store = own_store()
        (store / "manifest.json").unlink()
        (store / "commits" / "1.json").unlink()
        copy_store(store, tmp_path / "copy")
        extract_with(fake_model, LocalObjects(tmp_path / "copy"), None)
        assert content(tmp_path / "copy") == content(store_of())


class TestParts:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_two_of_four_sites_verify_and_read_as_before(
        self, store_of: StoreOf, encoding: str, tmp_path: Path
    ) -> None:
        store, copy = store_of(**{"store.encoding": encoding}), tmp_path / "copy"
        report = copy_store(store, copy, sites=TWO_SITES)
        assert report.sites == TWO_SITES
        verified = verify_store(str(copy), recompute=False)
        assert (verified.ok, verified.unnamed) == (True, ())
        assert not list(copy.glob("sites/embed*"))
        with open_store(store) as whole, open_store(copy) as part:
            assert part.sites == TWO_SITES
            assert len(part) == len(whole)
            found, wanted = part[:], whole.read(slice(None), TWO_SITES)
            np.testing.assert_array_equal(found.values_NSD, wanted.values_NSD)
            np.testing.assert_array_equal(found.row_N, wanted.row_N)

    def test_the_statistics_are_those_of_its_rows(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sites=TWO_SITES, splits="train", tasks=2)
        whole, part = inspect_store(store_of()), inspect_store(tmp_path / "copy")
        assert (part.whole_sites, part.whole_tasks) == (len(whole.sites), whole.tasks_total)
        assert (part.tasks_total, part.rows) == (2, 2048)
        assert part.rows_done == part.rows
        norms = np.linalg.norm(open_store(store_of()).site("final_norm")[:2048], axis=1)
        assert part.sites["final_norm"].mean_norm == pytest.approx(norms.mean(), rel=1e-2)
        assert part.bytes_total == sum(
            len(data) for path, data in content(tmp_path / "copy").items() if "/c/" in path and "center" not in path
        ) - sum(len(data) for path, data in content(tmp_path / "copy").items() if path.endswith("channel/c/0"))

    def test_a_share_of_the_tasks_streams_its_rows_once(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", splits=["train", "valid"], tasks=0.3)
        manifest = open_manifest(tmp_path / "copy")
        assert list(manifest.splits) == ["train", "valid"]
        for order in ("windows", "uniform"):
            with open_stream(tmp_path / "copy", batch_rows=100, order=order) as stream:
                rows = np.concatenate([batch.row_B.copy() for batch in stream])
            assert len(rows) == len(np.unique(rows)) == manifest.splits["train"].rows
        with pytest.raises(NoSplitError, match="no split 'test'; the store has train, valid"):
            open_stream(tmp_path / "copy", split="test")

    def test_rows_of_a_protein_are_those_that_are_here(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sites="embed", tasks=1)
        with open_store(tmp_path / "copy") as part, open_store(store_of()) as whole:
            found = 0
            for sequence in range(part.sequences.num_rows):
                rows, wanted = part.rows(sequence), whole.rows(sequence, sites="embed")
                here = np.isin(wanted.row_N, part.row_numbers())
                np.testing.assert_array_equal(rows.row_N, wanted.row_N[here])
                np.testing.assert_array_equal(rows.values_NSD, wanted.values_NSD[here])
                found += len(rows.row_N)
            assert found == len(part)

    def test_a_part_of_a_part(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "two", sites=TWO_SITES, tasks=3)
        copy_store(tmp_path / "two", tmp_path / "one", sites="final_norm", tasks=1)
        copy_store(store_of(), tmp_path / "direct", sites="final_norm", tasks=1)
        assert content(tmp_path / "one") == content(tmp_path / "direct")
        with pytest.raises(SiteError, match=r"no site 'embed'; the store has resid_post.1, final_norm"):
            copy_store(tmp_path / "two", tmp_path / "other", sites="embed")

    def test_a_plain_reader_of_zarr_sees_no_other_site_and_no_other_row(
        self, store_of: StoreOf, tmp_path: Path
    ) -> None:
        copy_store(store_of(), tmp_path / "copy", sites="embed", tasks=1)
        root = zarr.open_group(tmp_path / "copy", mode="r")
        assert "final_norm" not in root["sites"]  # type: ignore[operator]
        sequence_N = np.asarray(root["rows/sequence"][:])  # type: ignore[index]
        assert (sequence_N >= 0).sum() == open_manifest(tmp_path / "copy").rows

    def test_nothing_is_computed_in_a_part(self, store_of: StoreOf, fake_model: FakeModel, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sites="embed")
        with pytest.raises(UsageError, match="its rows are copied, not computed"):
            extract_with(fake_model, LocalObjects(tmp_path / "copy"), None)
        with pytest.raises(UsageError, match="repeat the 'actstore copy' that made it"):
            repair_store(str(tmp_path / "copy"))

    def test_no_recipe_is_extracted_into_a_part(
        self, store_of: StoreOf, fake_model: FakeModel, recipe_of: RecipeOf, tmp_path: Path
    ) -> None:
        copy_store(store_of(), tmp_path / "copy", sites="embed")
        with pytest.raises(UsageError, match="its rows are copied, not computed"):
            extract_with(fake_model, LocalObjects(tmp_path / "copy"), recipe_of())


class TestInterruptions:
    @pytest.mark.parametrize("objects", [1, 15, 40, 60])
    def test_a_stopped_copy_goes_on(
        self, store_of: StoreOf, objects: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put, left = LocalObjects.put, objects

        def failing(self: LocalObjects, path: str, data: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            put(self, path, data)

        monkeypatch.setattr(LocalObjects, "put", failing)
        with pytest.raises(KeyboardInterrupt):
            copy_store(store_of(), tmp_path / "copy")
        monkeypatch.undo()
        before = len(list((tmp_path / "copy" / "commits").glob("*")))
        assert before <= objects // len(open_manifest(store_of()).frozen.task_arrays)
        report = copy_store(store_of(), tmp_path / "copy")
        assert (report.tasks_before, report.complete) == (before, True)
        assert content(tmp_path / "copy") == content(store_of())

    def test_what_is_there_is_not_copied_again(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sites="embed")
        again = copy_store(store_of(), tmp_path / "copy", sites="embed")
        assert (again.objects, again.bytes, again.complete) == (0, 0, True)

    def test_a_check_mends_what_is_damaged(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        copy_store(store_of(), copy, sites=TWO_SITES)
        before = content(copy)
        flip(copy / "sites/final_norm/values/c/1/0", 100)
        (copy / "rows/token/c/0").unlink()
        (copy / "rows/token/zarr.json").write_bytes(b"{}")
        flip(copy / "sequences.parquet", 100)
        assert copy_store(store_of(), copy, sites=TWO_SITES, check=True).objects == 2
        assert content(copy) == before

    def test_a_damaged_commit_is_mended_too(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy")
        flip(tmp_path / "copy/commits/2.json", 100)
        copy_store(store_of(), tmp_path / "copy", check=True)
        assert content(tmp_path / "copy") == content(store_of())


class TestRefusals:
    def test_damage_in_the_source_is_not_copied(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        flip(store / "sites/embed/values/c/1/0", 100)
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values/c/1/0 does not have the sha256"):
            copy_store(store, tmp_path / "copy")
        assert not (tmp_path / "copy/commits/1.json").exists()
        copy_store(store, tmp_path / "other", sites="final_norm")
        (store / "sites/final_norm/values/c/0/0").unlink()
        with pytest.raises(MissingObjectError, match="sites/final_norm/values/c/0/0"):
            copy_store(store, tmp_path / "third", sites="final_norm")

    @pytest.mark.parametrize("name", ["sequences.parquet", "rows/zarr.json", "sites/embed/center/c/0"])
    def test_nor_damage_in_its_documents(self, own_store: StoreOf, name: str, tmp_path: Path) -> None:
        store = own_store()
        flip(store / name, 30)
        with pytest.raises(CorruptObjectError, match=name):
            copy_store(store, tmp_path / "copy")

    def test_other_places(self, store_of: StoreOf, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="source and destination are the same"):
            copy_store(store_of(), store_of())
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(UsageError, match=r"is not empty and not a store: it holds notes.txt"):
            copy_store(store_of(), tmp_path)
        with pytest.raises(UsageError, match="lies in the store"):
            copy_store(store_of(), store_of() / "inner")
        copy_store(store_of(), tmp_path / "copy", sites="embed", splits="train", tasks=2)
        there = r"is a copy of another part of this store: sites embed; tasks train 2 of \d+; choose the same"
        with pytest.raises(UsageError, match=there):
            copy_store(store_of(), tmp_path / "copy", sites="final_norm")
        with pytest.raises(UsageError, match="is a copy of another store"):
            copy_store(store_of(**{"store.encoding": "float16"}), tmp_path / "copy")

    def test_a_disk_that_is_too_small_is_said_first(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "free_disk", lambda _place: 1000)
        with pytest.raises(StoreError, match=r"are to be copied and 1.0 kB are free there.*--tasks 10%"):
            copy_store(store_of(), tmp_path / "copy")


class TestCommand:
    def test_it_copies_a_part_from_a_manifest_file(self, store_of: StoreOf, tmp_path: Path) -> None:
        export_manifest(store_of(), tmp_path / "store.json")
        words = ("copy", tmp_path / "store.json", tmp_path / "copy", "--site", "embed,final_norm", "--tasks", "50%")
        done = actstore(*words, "--json")
        assert done.code == 0, done.err
        assert done.document["sites"] == ["embed", "final_norm"]
        assert done.document["manifest_sha256"] == open_manifest(tmp_path / "copy").digest
        again = actstore(*words)
        assert "found done" in again.out
        assert "2 of 4 sites and" in " ".join(actstore("inspect", tmp_path / "copy").out.split())

    def test_a_store_that_moved_is_given_with_uri(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        export_manifest(store, tmp_path / "store.json")
        moved = store.rename(tmp_path / "moved")
        assert actstore("copy", tmp_path / "store.json", tmp_path / "copy").code == 1
        assert actstore("copy", tmp_path / "store.json", tmp_path / "copy", "--uri", moved).code == 0

    def test_a_recipe_names_its_part(self, store_of: StoreOf, tmp_path: Path) -> None:
        actstore("copy", store_of(), tmp_path / "copy", "--site", "embed", "--split", "valid")
        recipe = json.loads((tmp_path / "copy/recipe.json").read_bytes())
        assert recipe["part"]["sites"] == ["embed"]
        assert list(recipe["part"]["tasks"]) == ["valid"]
