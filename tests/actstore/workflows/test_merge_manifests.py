import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore import (
    copy_store,
    inspect_store,
    merge_manifests,
    open_live,
    open_manifest,
    open_store,
    open_stream,
    subset_manifest,
    verify_store,
)
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import (
    CorruptObjectError,
    IncompleteStoreError,
    ManifestError,
    NoSplitError,
    RecipeError,
    StoreNotFoundError,
    UsageError,
)
from actstore.store.read.manifest_files import read_manifest_file
from actstore.testing.fake_model import FakeModel
from actstore.testing.proteins import FamilyShape, synthetic_proteins, write_fasta
from actstore.workflows.care.collect import collect_garbage
from actstore.workflows.extract import extract_with
from actstore.workflows.relocate_manifest import relocate_manifest
from tests.actstore.cli.command import actstore
from tests.actstore.store.damage import flip

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
ENCODINGS = ("int8", "int4", "float16", "bfloat16")


@pytest.fixture(scope="session")
def other_fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other proteins than those of `store_of`, some of them longer than a window."""
    path = tmp_path_factory.mktemp("other") / "other.fasta"
    shape = FamilyShape(median_residues=120, min_residues=60, max_residues=300)
    write_fasta(path, synthetic_proteins(families=9, members=3, seed=2, shape=shape))
    path.write_text(path.read_text().replace(">", ">other_"))
    return path


@pytest.fixture(scope="session")
def other_of(
    store_of: StoreOf,
    recipe_of: RecipeOf,
    fake_model: FakeModel,
    other_fasta: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> StoreOf:
    """Return a store of other proteins that can be merged with the one of `store_of`."""
    made: dict[str, Path] = {}

    def other(encoding: str = "float16", **changes: Any) -> Path:
        key = json.dumps([encoding, changes], sort_keys=True)
        if key not in made:
            calibrated = encoding in {"int8", "int4"}
            source = {"store.calibration_of": str(store_of(**{"store.encoding": encoding}))} if calibrated else {}
            recipe = recipe_of(
                **{
                    "corpus.sequences": [str(other_fasta)],
                    "store.encoding": encoding,
                    "splits.fractions": {"train": 0.5, "valid": 0.5},
                    **source,
                    **changes,
                }
            )
            folder = tmp_path_factory.mktemp("other") / "store"
            extract_with(fake_model, LocalObjects(folder), recipe)
            made[key] = folder
        return made[key]

    return other


@pytest.fixture
def merged(store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> Path:
    """A manifest file of two float16 stores."""
    merge_manifests([store_of(**{"store.encoding": "float16"}), other_of()], tmp_path / "both.json")
    return tmp_path / "both.json"


class TestReading:
    @pytest.mark.parametrize("order", ["windows", "uniform"])
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_every_row_of_both_is_streamed_once(
        self, store_of: StoreOf, other_of: StoreOf, encoding: str, order: Any, tmp_path: Path
    ) -> None:
        stores = store_of(**{"store.encoding": encoding}), other_of(encoding)
        merge_manifests(stores, tmp_path / "both.json")
        wanted: dict[tuple[str, int], np.ndarray[Any, Any]] = {}
        for place in stores:
            with open_store(place) as store:
                rows = store.read(slice(None), "final_norm")
                keys = zip(rows.ids, rows.position_N.tolist(), strict=True)
                wanted |= dict(zip(keys, rows.values_NSD[:, 0], strict=True))
        seen = []
        for split in ("train", "test", "valid"):
            with open_stream(
                tmp_path / "both.json", sites="final_norm", split=split, batch_rows=200, order=order, kernels="numpy"
            ) as stream:
                for batch in stream:
                    for name, place, values in zip(
                        stream.ids(batch), batch.position_B.tolist(), batch.values_BSD[:, 0], strict=True
                    ):
                        np.testing.assert_array_equal(values, wanted[name, place])
                        seen.append((name, place))
        assert len(seen) == len(wanted)
        assert set(seen) == wanted.keys()

    def test_proteins_of_both_are_found(self, merged: Path, store_of: StoreOf, other_of: StoreOf) -> None:
        with open_store(merged) as both:
            number = 0
            for place in (store_of(**{"store.encoding": "float16"}), other_of()):
                with open_store(place) as store:
                    for name in store.sequences["id"].to_pylist():
                        found, wanted = both.rows(name), store.rows(name)
                        assert (found.id, found.protein, found.residues) == (name, wanted.protein, wanted.residues)
                        np.testing.assert_array_equal(found.values_NSD, wanted.values_NSD)
                        np.testing.assert_array_equal(found.position_N, wanted.position_N)
                        assert both.rows(number).id == name
                        number += 1
            assert both.sequences.num_rows == number
            with pytest.raises(UsageError, match="no sequence 'nobody' in this store"):
                both.rows("nobody")
            with pytest.raises(UsageError, match=f"no sequence {number}; there are {number}"):
                both.rows(number)

    def test_it_looks_like_one_store(self, merged: Path, store_of: StoreOf, other_of: StoreOf) -> None:
        both = inspect_store(merged)
        one, two = inspect_store(store_of(**{"store.encoding": "float16"})), inspect_store(other_of())
        assert both.rows == both.rows_done == one.rows + two.rows
        assert both.sequences == one.sequences + two.sequences
        assert both.bytes_total == one.bytes_total + two.bytes_total
        assert both.splits["valid"].rows == one.splits["valid"].rows + two.splits["valid"].rows
        mean = (one.sites["embed"].mean_norm * one.rows + two.sites["embed"].mean_norm * two.rows) / both.rows
        assert both.sites["embed"].mean_norm == pytest.approx(mean)
        assert [Path(place) for place in both.stores] == [store_of(**{"store.encoding": "float16"}), other_of()]
        means = open_store(merged).mean_per_sequence("embed")
        assert len(means.rows_Q) == both.sequences
        assert means.rows_Q.sum() == both.rows

    def test_one_of_them_may_have_clusters(
        self, store_of: StoreOf, other_of: StoreOf, other_fasta: Path, tmp_path: Path
    ) -> None:
        ids = [line[1:].split()[0] for line in other_fasta.read_text().splitlines() if line.startswith(">")]
        (tmp_path / "clusters.tsv").write_text("".join(f"{name}\t{name}\n" for name in ids))
        clustered = other_of(**{"splits.clusters": str(tmp_path / "clusters.tsv")})
        merge_manifests([store_of(**{"store.encoding": "float16"}), clustered], tmp_path / "both.json")
        with open_store(tmp_path / "both.json") as store:
            assert store.sequences["cluster"].null_count == len(store.sequences) - len(ids)

    def test_mixing_is_measured_against_all_sequences(self, merged: Path) -> None:
        with open_stream(merged, sites="embed", batch_rows=200, order="uniform", seed=1) as stream:
            for _batch in stream:
                pass
            mixing = stream.report().mixing
        assert mixing is not None
        assert mixing.distinct_ratio == pytest.approx(1.0, abs=0.03)

    def test_a_position_belongs_to_one_merge(self, merged: Path, store_of: StoreOf) -> None:
        with open_stream(merged, sites="embed", batch_rows=100) as stream:
            batches = iter(stream)
            next(batches)
            cursor = stream.cursor
            wanted = next(batches).row_B.copy()
        with open_stream(merged, sites="embed", batch_rows=100) as stream:
            stream.seek(cursor)
            np.testing.assert_array_equal(next(iter(stream)).row_B, wanted)

    def test_remote_stores_with_a_cache(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(**{"store.encoding": "float16"}), "memory://merge/one")
        copy_store(other_of(), "memory://merge/two")
        merge_manifests(["memory://merge/one", "memory://merge/two"], tmp_path / "both.json")
        cache: dict[str, Any] = {"cache": tmp_path / "cache", "cache_bytes": 1 << 26}
        with open_stream(tmp_path / "both.json", sites="embed", batch_rows=100, **cache) as stream:
            rows = np.concatenate([batch.row_B.copy() for _epoch in range(2) for batch in stream])
        assert len(rows) == 2 * len(np.unique(rows)) == 2 * open_manifest(tmp_path / "both.json").splits["train"].rows

    def test_parts_and_merges_are_merged(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        for name, place in (("one", store_of(**{"store.encoding": "float16"})), ("two", other_of())):
            subset_manifest(place, tmp_path / f"{name}.json", sites="embed", splits="train", tasks=1)
        merge_manifests([tmp_path / "one.json", tmp_path / "two.json"], tmp_path / "both.json")
        with open_store(tmp_path / "both.json") as both:
            assert both.sites == ("embed",)
            assert (
                len(both)
                == both.manifest.rows
                == sum(both.rows(name).row_N.size for name in range(both.sequences.num_rows))
            )
        with open_stream(tmp_path / "both.json") as stream:
            rows = np.concatenate([batch.row_B.copy() for batch in stream])
        assert sorted(rows.tolist()) == open_store(tmp_path / "both.json").row_numbers().tolist()
        assert inspect_store(tmp_path / "both.json").whole_sites == 4

    def test_a_merge_of_a_merge_names_all_stores(
        self, merged: Path, recipe_of: RecipeOf, fake_model: FakeModel, other_fasta: Path, tmp_path: Path
    ) -> None:
        third = tmp_path / "third.fasta"
        third.write_text(other_fasta.read_text().replace(">other_", ">third_"))
        recipe = recipe_of(**{"corpus.sequences": [str(third)], "store.encoding": "float16"})
        extract_with(fake_model, LocalObjects(tmp_path / "third"), recipe)
        merge_manifests([merged, tmp_path / "third"], tmp_path / "all.json")
        assert len(open_manifest(tmp_path / "all.json").members) == 3
        with open_store(tmp_path / "third") as third_store, open_store(tmp_path / "all.json") as every:
            name = third_store.sequences["id"][0].as_py()
            np.testing.assert_array_equal(every.rows(name).values_NSD, third_store.rows(name).values_NSD)


class TestTravelling:
    def test_stores_beside_the_file_move_with_it(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        copy_store(store_of(**{"store.encoding": "float16"}), folder / "one")
        copy_store(other_of(), folder / "two")
        merge_manifests([folder / "one", folder / "two"], folder / "both.json")
        digest = open_manifest(folder / "both.json").digest
        moved = folder.rename(tmp_path / "moved")
        assert open_manifest(moved / "both.json").digest == digest
        assert len(open_store(moved / "both.json")) == open_manifest(moved / "both.json").rows

    def test_stores_may_be_given_by_way_of_their_parents(
        self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        stores = [os.path.relpath(store) for store in (store_of(**{"store.encoding": "float16"}), other_of())]
        assert all(store.startswith("..") for store in stores)
        merge_manifests(stores, "both.json")
        assert len(open_store("both.json")) == sum(len(open_store(store)) for store in stores)

    def test_the_digest_does_not_depend_on_places(
        self, merged: Path, store_of: StoreOf, other_of: StoreOf, tmp_path: Path
    ) -> None:
        copy_store(other_of(), tmp_path / "copy")
        merge_manifests([store_of(**{"store.encoding": "float16"}), tmp_path / "copy"], tmp_path / "again.json")
        assert read_manifest_file(tmp_path / "again.json").digest == read_manifest_file(merged).digest

    def test_a_store_that_is_gone_is_named(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        copy_store(other_of(), tmp_path / "two")
        merge_manifests([store_of(**{"store.encoding": "float16"}), tmp_path / "two"], tmp_path / "both.json")
        (tmp_path / "two").rename(tmp_path / "gone")
        with pytest.raises(StoreNotFoundError, match=r"store 2 of .*both.json describes a store at .*two"):
            open_store(tmp_path / "both.json")

    def test_one_of_its_stores_moves(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(**{"store.encoding": "float16"}), tmp_path / "one")
        copy_store(other_of(), tmp_path / "two")
        file = tmp_path / "both.json"
        digest = merge_manifests([tmp_path / "one", tmp_path / "two"], file).digest
        moved = (tmp_path / "two").rename(tmp_path / "elsewhere")
        done = actstore("manifest", "relocate", file, "--member", 2, "--uri", moved)
        assert done.code == 0, done.err
        assert [one["uri"] for one in json.loads(file.read_bytes())["members"]] == ["./one", "./elsewhere"]
        assert open_manifest(file).digest == digest
        with open_store(file) as opened:
            assert len(opened) == open_manifest(file).rows

    @pytest.mark.parametrize("member", [None, 0, 3])
    def test_which_of_its_stores_moved_must_be_said(self, merged: Path, tmp_path: Path, member: int | None) -> None:
        with pytest.raises(UsageError, match=r"is a merge: say by its number .*\(--member\):\n  1: .*\n  2: "):
            relocate_manifest(merged, str(tmp_path), member=member)

    def test_a_store_alone_has_no_number(self, store_of: StoreOf, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="is no merge"):
            relocate_manifest(store_of() / "manifest.json", str(store_of()), member=1, out=tmp_path / "new.json")

    def test_damage_is_found_where_it_is(self, store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        copy_store(other_of(), tmp_path / "two")
        merge_manifests([store_of(**{"store.encoding": "float16"}), tmp_path / "two"], tmp_path / "both.json")
        assert verify_store(str(tmp_path / "both.json"), recompute=False).ok
        flip(tmp_path / "two/sites/embed/values/c/0/0", 100)
        with (
            open_stream(tmp_path / "both.json", sites="embed", batch_rows=100) as stream,
            pytest.raises(CorruptObjectError, match=r"two: sites/embed/values/c/0/0 \(task 0\)"),
        ):
            list(stream)
        found = verify_store(str(tmp_path / "both.json"), recompute=False)
        assert [fault.object for fault in found.faults] == [f"{tmp_path / 'two'}/sites/embed/values/c/0/0"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"encoding": "bfloat16"}, "has encoding bfloat16"),
            ({"store.task_rows": 512}, "has task_rows 512"),
            ({"store.compressor": "zstd"}, "has compressor zstd"),
            ({"sites": ["embed"]}, "has sites here embed"),
        ],
    )
    def test_rows_that_cannot_be_read_together(
        self, store_of: StoreOf, other_of: StoreOf, changes: dict[str, Any], problem: str, tmp_path: Path
    ) -> None:
        if "sites" in changes:
            subset_manifest(other_of(), tmp_path / "embed.json", sites="embed")
            other = tmp_path / "embed.json"
        else:
            other = other_of(**changes)
        with pytest.raises(UsageError, match=problem):
            merge_manifests([store_of(**{"store.encoding": "float16"}), other], tmp_path / "both.json")
        assert not (tmp_path / "both.json").exists()

    def test_calibrations_that_differ(
        self, store_of: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel, other_fasta: Path, tmp_path: Path
    ) -> None:
        recipe = recipe_of(**{"corpus.sequences": [str(other_fasta)]})
        extract_with(fake_model, LocalObjects(tmp_path / "own"), recipe)
        with pytest.raises(UsageError, match=r"different calibrations.*--calibration-of STORE"):
            merge_manifests([store_of(), tmp_path / "own"], tmp_path / "both.json")

    def test_a_sequence_in_both(
        self, store_of: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        store = store_of(**{"store.encoding": "float16"})
        first = open_store(store).sequences["id"][5].as_py()
        (tmp_path / "one.fasta").write_text(f">new\nMKTAYIAKQR\n>{first}\nMKTAYIAKQR\n")
        recipe = recipe_of(**{"corpus.sequences": [str(tmp_path / "one.fasta")], "store.encoding": "float16"})
        extract_with(fake_model, LocalObjects(tmp_path / "one"), recipe)
        with pytest.raises(UsageError, match=rf"'{first}' is in .*store and in .*one, as are 0 other"):
            merge_manifests([store, tmp_path / "one"], tmp_path / "both.json")
        with pytest.raises(UsageError, match=r"is in .*, as are"):
            merge_manifests([store, store], tmp_path / "both.json")

    def test_one_store_or_an_incomplete_one(self, own_store: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
        store = own_store(**{"store.encoding": "float16"})
        with pytest.raises(UsageError, match="2 to 64 stores, not 1"):
            merge_manifests([store], tmp_path / "both.json")
        (store / "manifest.json").unlink()
        (store / "commits/0.json").unlink()
        with pytest.raises(IncompleteStoreError, match="is not complete"):
            merge_manifests([store, other_of()], tmp_path / "both.json")

    def test_commands_that_write_take_one_of_its_stores(self, merged: Path, tmp_path: Path) -> None:
        for refused in (
            lambda: copy_store(merged, tmp_path / "copy"),
            lambda: subset_manifest(merged, tmp_path / "part.json", sites="embed"),
            lambda: collect_garbage(str(merged)),
            lambda: relocate_manifest(merged, str(tmp_path)),
            lambda: open_live(merged),
            lambda: open_store(merged, uri=str(tmp_path)),
        ):
            with pytest.raises(UsageError, match="is a merge"):
                refused()
        assert actstore("repair", merged).code == 2

    def test_a_split_that_neither_has(self, merged: Path) -> None:
        with pytest.raises(NoSplitError, match="no split 'tset'; the store has train, test, valid"):
            open_stream(merged, split="tset")

    @pytest.mark.parametrize(
        "lie",
        [
            lambda document: document["members"].reverse(),
            lambda document: document["members"].pop(),
            lambda document: document.pop("members"),
            lambda document: document["frozen"].pop("members"),
            lambda document: document["commits"].reverse(),
            lambda document: document["frozen"]["members"][0].update(sequences=5),
            lambda document: document["frozen"]["members"][0]["splits"]["train"].update(tasks=10**15),
            lambda document: document["frozen"]["members"][0]["splits"]["train"].update(rows=1),
            lambda document: document["members"][0].update(members=[document["members"][1]]),
            lambda document: document["members"][0]["frozen"]["model"].update(weights_sha256="ab" * 32),
        ],
    )
    def test_a_manifest_that_contradicts_its_stores(self, merged: Path, lie: Callable[[Any], Any]) -> None:
        document = json.loads(merged.read_bytes())
        lie(document)
        merged.write_text(json.dumps(document))
        with pytest.raises(ManifestError):
            open_manifest(merged)


class TestCalibration:
    def test_that_of_another_store_is_taken(self, store_of: StoreOf, other_of: StoreOf) -> None:
        one, two = open_manifest(store_of()), open_manifest(other_of("int8"))
        assert one.frozen.calibration == two.frozen.calibration
        assert one.frozen.calibration is not None

    def test_another_model_or_a_store_without_any_is_refused(
        self, store_of: StoreOf, recipe_of: RecipeOf, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        objects = LocalObjects(tmp_path / "new")
        without = recipe_of(**{"store.calibration_of": str(store_of(**{"store.encoding": "float16"}))})
        with pytest.raises(RecipeError, match="is float16, which has no calibration to take"):
            extract_with(fake_model, objects, without)
        with pytest.raises(RecipeError, match="that store has weights"):
            extract_with(FakeModel(seed=1), objects, recipe_of(**{"store.calibration_of": str(store_of())}))
        other = FakeModel(sites=("embed", "resid_post.5"))
        with pytest.raises(RecipeError, match="that store has"):
            extract_with(
                other,
                objects,
                recipe_of(**{"store.calibration_of": str(store_of()), "sites": ["embed", "resid_post.5"]}),
            )


def test_the_command_merges(store_of: StoreOf, other_of: StoreOf, tmp_path: Path) -> None:
    stores = store_of(**{"store.encoding": "float16"}), other_of()
    done = actstore("manifest", "merge", *stores, "-o", tmp_path / "both.json", "--json")
    assert done.code == 0, done.err
    assert done.document["manifest_sha256"] == read_manifest_file(tmp_path / "both.json").digest
    assert done.document["stores"] == [str(store) for store in stores]
    assert "merge of" in actstore("inspect", tmp_path / "both.json").out
    assert actstore("rows", tmp_path / "both.json", "--rows=0-3").code == 0
    assert actstore("verify", tmp_path / "both.json", "--no-recompute").code == 0
