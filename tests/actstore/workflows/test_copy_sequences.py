import json
import re
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from actstore import (
    copy_store,
    inspect_store,
    merge_manifests,
    open_manifest,
    open_store,
    open_stream,
    repair_store,
    verify_store,
)
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.errors import (
    CorpusError,
    CorruptObjectError,
    IncompleteStoreError,
    ModelError,
    NoSplitError,
    SiteError,
    StoreError,
    UsageError,
)
from actstore.testing.fake_model import FakeModel
from actstore.testing.proteins import FamilyShape, synthetic_proteins, write_fasta
from actstore.workflows.export_manifest import export_manifest
from actstore.workflows.extract import extract_with
from actstore.workflows.import_store import import_store
from actstore.workflows.sharing import room
from tests.actstore.cli.command import actstore
from tests.actstore.store.damage import flip
from tests.actstore.workflows.killing import Kill, extract_in_a_process
from tests.actstore.workflows.stores import TwoWidths, contents, plain_rows, read_fasta
from tests.actstore.workflows.stores import write_fasta as write_records

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
ENCODINGS = ("int8", "int4", "float16", "bfloat16")
TASKS = {"store.task_rows": 256, "store.chunk_rows": 32}
"""Many small tasks and chunks."""


@pytest.fixture(scope="module")
def other(
    store_of: StoreOf,
    recipe_of: RecipeOf,
    fake_model: FakeModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> StoreOf:
    def made(**changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("other")
        shape = FamilyShape(median_residues=120, min_residues=60, max_residues=300)
        write_fasta(folder / "other.fasta", synthetic_proteins(families=9, members=3, seed=2, shape=shape))
        text = (folder / "other.fasta").read_text().replace(">", ">other_")
        (folder / "other.fasta").write_text(text)
        known = {"corpus.sequences": [str(folder / "other.fasta")], "store.calibration_of": str(store_of(**TASKS))}
        extract_with(fake_model, LocalObjects(folder / "store"), recipe_of(**TASKS, **known, **changes))
        return folder / "store"

    return made


@pytest.fixture(scope="module")
def listed(store_of: StoreOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("list") / "ids.txt"
    file.write_text("\n".join(ids_of(store_of(**TASKS), 2)))
    return file


@pytest.fixture(scope="module")
def whole(store_of: StoreOf, listed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    copy = tmp_path_factory.mktemp("whole") / "copy"
    copy_store(store_of(**TASKS), copy, sequences=listed)
    return contents(copy)


def ids_of(store: Path, step: int = 3) -> list[str]:
    ids: list[str] = pq.read_table(store / "sequences.parquet")["id"].to_pylist()
    return ids[::step]


def verified(store: Path) -> bool:
    report = verify_store(str(store), recompute=False)
    return (report.ok, report.unnamed) == (True, ())


def assert_same_rows(source: Path | str, copy: Path, ids: list[str], sites: Any = None) -> None:
    with open_store(source) as one, open_store(copy) as two:
        assert sorted(two.sequences["id"].to_pylist()) == sorted(ids)
        assert len(two) == sum(len(one.row_numbers_of(name)) for name in ids)
        for name in ids:
            wanted, found = one.rows(name, sites=sites), two.rows(name)
            np.testing.assert_array_equal(found.position_N, wanted.position_N)
            np.testing.assert_array_equal(found.values_NSD, wanted.values_NSD)
            assert found.protein == wanted.protein


class TestRows:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_values_are_those_of_the_source_to_the_bit(self, store_of: StoreOf, encoding: str, tmp_path: Path) -> None:
        store, copy = store_of(**{"store.encoding": encoding, **TASKS}), tmp_path / "copy"
        report = copy_store(store, copy, sequences=ids_of(store))
        assert (report.complete, report.sequences, report.tasks_before) == (True, len(ids_of(store)), 0)
        assert report.rows == sum(report.splits.values()) == len(open_store(copy))
        assert report.manifest_sha256 == open_manifest(copy).digest
        assert_same_rows(store, copy, ids_of(store))
        assert verified(copy)

    def test_of_a_sampled_and_compressed_store_too(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(
            **{"rows": {"fraction": 0.4, "max_per_sequence": 70}, "store.compressor": "zstd", "seed": 7, **TASKS}
        )
        copy_store(store, tmp_path / "copy", sequences=ids_of(store))
        assert_same_rows(store, tmp_path / "copy", ids_of(store))
        assert verified(tmp_path / "copy")

    def test_each_row_keeps_its_token(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sequences=ids_of(store_of()))
        whole, copy = plain_rows(store_of()), plain_rows(tmp_path / "copy")
        token_of = dict(zip(whole.residue_N, whole.token_N, strict=True))
        assert [token_of[residue] for residue in copy.residue_N] == copy.token_N

    @pytest.mark.parametrize("encoding", ["int4", "int8"])
    def test_sites_of_other_widths(self, recipe_of: RecipeOf, encoding: str, tmp_path: Path) -> None:
        recipe = recipe_of(sites=["wide", "narrow"], **{"store.encoding": encoding})
        extract_with(TwoWidths(), LocalObjects(tmp_path / "store"), recipe)
        ids = ids_of(tmp_path / "store")
        for sites in ("narrow", "wide"):
            copy_store(tmp_path / "store", tmp_path / sites, sequences=ids, sites=sites)
            assert open_manifest(tmp_path / sites).frozen.part is None
            assert_same_rows(tmp_path / "store", tmp_path / sites, ids, sites)
            assert verified(tmp_path / sites)
        copy_store(tmp_path / "store", tmp_path / "both", sequences=ids)
        assert plain_rows(tmp_path / "both").by_residue("narrow").keys() == set(
            plain_rows(tmp_path / "narrow").residue_N
        )

    def test_a_stream_delivers_each_row_once(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(**TASKS), tmp_path / "copy", sequences=ids_of(store_of(**TASKS)))
        for order in ("windows", "uniform"):
            with open_stream(tmp_path / "copy", batch_rows=100, order=order) as stream:
                rows = np.concatenate([batch.row_B.copy() for batch in stream])
            assert len(rows) == len(np.unique(rows)) == open_manifest(tmp_path / "copy").splits["train"].rows

    def test_a_part_and_a_copy_are_sources_too(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of(**TASKS)
        copy_store(store, tmp_path / "sites", sites=["embed", "final_norm"])
        copy_store(tmp_path / "sites", tmp_path / "some", sequences=ids_of(store, 2))
        copy_store(tmp_path / "some", tmp_path / "few", sequences=ids_of(store, 4))
        assert_same_rows(tmp_path / "sites", tmp_path / "few", ids_of(store, 4))
        assert verified(tmp_path / "few")

    def test_between_any_two_places(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), "memory://sequences/one")
        copy_store("memory://sequences/one", "memory://sequences/two", sequences=ids_of(store_of()))
        copy_store("memory://sequences/two", tmp_path / "copy")
        assert_same_rows(store_of(), tmp_path / "copy", ids_of(store_of()))


class TestPlan:
    def test_it_is_the_plan_of_an_extraction_of_these_sequences(
        self, store_of: StoreOf, recipe_of: RecipeOf, synthetic_fasta: Path, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        rows = {"fraction": 0.6}
        store = store_of(rows=rows, **TASKS)
        ids = ids_of(store)
        records = {name: text for name, text in read_fasta(synthetic_fasta).items() if name in ids}
        write_records(tmp_path / "some.fasta", records)
        changed = {"corpus.sequences": [str(tmp_path / "some.fasta")], "store.calibration_of": str(store)}
        extract_with(fake_model, LocalObjects(tmp_path / "extracted"), recipe_of(rows=rows, **TASKS, **changed))
        copy_store(store, tmp_path / "copy", sequences=ids)
        extracted, copied = contents(tmp_path / "extracted"), contents(tmp_path / "copy")
        same = [path for path in copied if re.match(r"rows/.*/c/|scales/.*/c/|sites/.*/c/|sequences", path)]
        assert len(same) > 50
        assert [path for path in same if copied[path] != extracted[path]] == []
        one, other = open_manifest(tmp_path / "copy").frozen, open_manifest(tmp_path / "extracted").frozen
        assert (one.plan_sha256, one.splits, one.model) == (other.plan_sha256, other.splits, other.model)

    @pytest.mark.parametrize("seed", [0, 5])
    def test_each_protein_stays_in_its_split(self, store_of: StoreOf, seed: int, tmp_path: Path) -> None:
        store = store_of(seed=seed)
        copy_store(store, tmp_path / "copy", sequences=ids_of(store, 2))
        whole, copy = plain_rows(store).splits, plain_rows(tmp_path / "copy").splits
        assert set(copy.values()) >= {"train", "valid"}
        assert copy == {name: split for name, split in whole.items() if name in copy}

    def test_also_by_clusters_whose_file_is_gone(
        self, recipe_of: RecipeOf, synthetic_fasta: Path, fake_model: FakeModel, tmp_path: Path
    ) -> None:
        ids = list(read_fasta(synthetic_fasta))
        clusters = tmp_path / "clusters.tsv"
        clusters.write_text("".join(f"{ids[number // 5 * 5]}\t{name}\n" for number, name in enumerate(ids)))
        splits = {"fractions": {"train": 0.5, "valid": 0.5}, "clusters": str(clusters)}
        extract_with(fake_model, LocalObjects(tmp_path / "store"), recipe_of(splits=splits))
        clusters.unlink()
        copy_store(tmp_path / "store", tmp_path / "copy", sequences=ids[::2])
        whole, copy = (pq.read_table(tmp_path / one / "sequences.parquet").to_pylist() for one in ("store", "copy"))
        facts = {one["id"]: one for one in whole}
        assert {one["split"] for one in copy} == {"train", "valid"}
        assert [facts[one["id"]] for one in copy] == copy
        assert verified(tmp_path / "copy")

    def test_sequences_of_some_splits(self, store_of: StoreOf, tmp_path: Path) -> None:
        store = store_of()
        splits = plain_rows(store).splits
        report = copy_store(store, tmp_path / "copy", sequences=ids_of(store, 1), splits="valid")
        assert list(report.splits) == ["valid"]
        assert_same_rows(store, tmp_path / "copy", [name for name, split in splits.items() if split == "valid"])
        train = [name for name, split in splits.items() if split == "train"]
        with pytest.raises(UsageError, match=r"none of the \d+ sequences is in valid; nothing is copied"):
            copy_store(store, tmp_path / "other", sequences=train, splits="valid")
        assert not (tmp_path / "other").exists()


class TestFacts:
    def test_the_recipe_says_where_rows_come_from(self, store_of: StoreOf, tmp_path: Path) -> None:
        told = {
            "model": {"name": "fake", "license": "MIT", "citation": "Model 2020"},
            "corpus.license": "CC-BY-4.0",
            "corpus.citation": "Sequences 2021",
        }
        store = store_of(**told)
        copy_store(store, tmp_path / "copy", sequences=ids_of(store))
        whole, copy = open_manifest(store), open_manifest(tmp_path / "copy")
        assert copy.frozen.imported is not None
        assert (copy.frozen.imported.format, copy.frozen.imported.digest) == ("actstore", whole.digest)
        assert copy.frozen.imported.unknown == ()
        assert copy.model == whole.model
        assert (copy.sites, copy.encoding) == (whole.sites, whole.encoding)
        assert copy.frozen.calibration == whole.frozen.calibration
        assert copy.frozen.recipe.store.calibration_of == str(store)
        assert copy.frozen.recipe.corpus.sequences == (str(store),)
        said = inspect_store(tmp_path / "copy")
        assert said.licenses == {"model": "MIT", "corpus": "CC-BY-4.0"}
        assert said.citations == {"model": "Model 2020", "corpus": "Sequences 2021"}

    def test_what_the_encoding_lost_is_not_known_there(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sequences=ids_of(store_of()))
        shown = " ".join(actstore("inspect", tmp_path / "copy", "--html", tmp_path / "page.html").out.split())
        assert "not known" in shown
        assert "lossless" not in shown
        assert f"from the store with manifest {open_manifest(store_of()).digest}" in shown
        page = (tmp_path / "page.html").read_text()
        assert "which knows what that loses" in page
        assert "before encoding" not in page

    def test_statistics_are_those_of_the_decoded_rows(self, store_of: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sequences=ids_of(store_of()))
        rows = open_store(tmp_path / "copy").site("final_norm")[:]
        found = open_manifest(tmp_path / "copy").statistics["final_norm"]
        assert found.mean_norm == pytest.approx(np.linalg.norm(rows, axis=1).mean(), rel=1e-5)
        assert found.max_abs == np.abs(rows).max()
        assert (found.count, found.saturated, found.sqnr_worst_db) == (len(rows), 0, None)

    def test_what_the_source_does_not_know_stays_unknown(self, tmp_path: Path) -> None:
        np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32))
        import_store(tmp_path / "rows.npy", str(tmp_path / "store"), model="some-model")
        ids = ids_of(tmp_path / "store", 2)
        copy_store(tmp_path / "store", tmp_path / "copy", sequences=ids)
        facts = open_manifest(tmp_path / "copy").frozen.imported
        assert facts is not None
        assert (facts.format, facts.known) == ("actstore", ("model",))
        assert_same_rows(tmp_path / "store", tmp_path / "copy", ids)
        assert set(plain_rows(tmp_path / "copy").token_N) == {-1}
        assert verified(tmp_path / "copy")

    def test_a_model_does_not_write_its_rows(self, store_of: StoreOf, fake_model: FakeModel, tmp_path: Path) -> None:
        copy_store(store_of(), tmp_path / "copy", sequences=ids_of(store_of()))
        with pytest.raises(ModelError, match="'actstore copy SRC URI --sequences FILE' writes missing tasks"):
            repair_store(str(tmp_path / "copy"), tasks=[1])


class TestReading:
    def test_a_chunk_is_read_at_most_twice(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, reads = store_of(**TASKS), Counter[tuple[str, int]]()
        read_into = LocalObjects.read_into

        def counted(self: LocalObjects, path: str, start: int, into: memoryview) -> int:
            if "/values/" in path:
                chunk_bytes = 32 * 16
                reads.update((path, start // chunk_bytes + chunk) for chunk in range(len(into) // chunk_bytes))
            return read_into(self, path, start, into)

        monkeypatch.setattr(LocalObjects, "read_into", counted)
        copy_store(store, tmp_path / "copy", sequences=ids_of(store))
        assert len(reads) > 100
        assert max(reads.values()) <= 2
        assert sum(reads.values()) < 1.6 * len(reads)


class TestMerges:
    def test_rows_of_both_stores_become_one(self, store_of: StoreOf, other: StoreOf, tmp_path: Path) -> None:
        one, two = store_of(**TASKS), other()
        merge_manifests([one, two], tmp_path / "both.json")
        ids = ids_of(one) + ids_of(two)
        report = copy_store(tmp_path / "both.json", tmp_path / "copy", sequences=ids)
        assert report.sequences == len(ids)
        assert_same_rows(tmp_path / "both.json", tmp_path / "copy", ids)
        splits = plain_rows(one).splits | plain_rows(two).splits
        assert plain_rows(tmp_path / "copy").splits == {name: splits[name] for name in ids}
        assert verified(tmp_path / "copy")

    def test_stores_of_other_rules_have_no_common_plan(self, store_of: StoreOf, other: StoreOf, tmp_path: Path) -> None:
        one, two = store_of(**TASKS), other(seed=1)
        merge_manifests([one, two], tmp_path / "both.json")
        with pytest.raises(UsageError, match="draw splits or rows by other rules"):
            copy_store(tmp_path / "both.json", tmp_path / "copy", sequences=ids_of(one))

    def test_two_copies_can_be_merged(self, store_of: StoreOf, other: StoreOf, tmp_path: Path) -> None:
        copy_store(store_of(**TASKS), tmp_path / "one", sequences=ids_of(store_of(**TASKS)))
        two = other(seed=1)
        copy_store(two, tmp_path / "two", sequences=ids_of(two))
        merge_manifests([tmp_path / "one", tmp_path / "two"], tmp_path / "both.json")
        sizes_ = [len(open_store(tmp_path / name)) for name in ("one", "two", "both.json")]
        assert sizes_[0] + sizes_[1] == sizes_[2]


class TestInterruptions:
    def test_a_killed_copy_goes_on(
        self, store_of: StoreOf, listed: Path, whole: dict[str, bytes], tmp_path: Path
    ) -> None:
        asked = (store_of(**TASKS), tmp_path / "copy", "--sequences", listed, "--quiet", "--json")
        log = tmp_path / "log"
        for kill in (
            Kill("before", "recipe.json"),
            Kill("after", "recipe.json"),
            Kill("before", "sequences.parquet"),
            Kill("after", "rows/position/c/1"),
            Kill("before", "commits/2.json"),
            Kill("after", "commits/4.json"),
            Kill("before", "manifest.json"),
        ):
            code = extract_in_a_process(*asked, log=log, kill=kill, command="copy")
            assert code == -signal.SIGKILL, (kill, log.read_text())
        assert extract_in_a_process(*asked, log=log, command="copy") == 0, log.read_text()
        assert contents(tmp_path / "copy") == whole

    def test_committed_tasks_are_not_written_again(
        self, store_of: StoreOf, listed: Path, whole: dict[str, bytes], tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy_store(store_of(**TASKS), copy, sequences=listed)
        (copy / "manifest.json").unlink()
        (copy / "commits/1.json").unlink()
        again = copy_store(store_of(**TASKS), copy, sequences=listed)
        assert again.objects == len(open_manifest(copy).frozen.task_arrays)
        assert (again.tasks_before, again.complete) == (again.tasks_total - 1, True)
        assert contents(copy) == whole
        assert copy_store(store_of(**TASKS), copy, sequences=listed).objects == 0

    def test_it_goes_on_from_another_place_of_the_source(
        self, store_of: StoreOf, listed: Path, whole: dict[str, bytes], tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy_store(store_of(**TASKS), copy, sequences=listed)
        (copy / "manifest.json").unlink()
        (copy / "commits/1.json").unlink()
        shutil.copytree(store_of(**TASKS), tmp_path / "mirror")
        assert copy_store(tmp_path / "mirror", copy, sequences=listed).complete
        assert contents(copy) == whole

    def test_a_check_mends_what_is_damaged(
        self, store_of: StoreOf, listed: Path, whole: dict[str, bytes], tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy_store(store_of(**TASKS), copy, sequences=listed)
        flip(copy / "sites/final_norm/values/c/1/0", 100)
        (copy / "rows/token/c/0").unlink()
        (copy / "rows/token/zarr.json").write_bytes(b"{}")
        flip(copy / "sequences.parquet", 100)
        flip(copy / "commits/2.json", 100)
        (copy / "commits/3.json").unlink()
        copy_store(store_of(**TASKS), copy, sequences=listed, check=True)
        assert contents(copy) == whole

    def test_a_check_of_a_sound_copy_writes_nothing(self, store_of: StoreOf, listed: Path, tmp_path: Path) -> None:
        copy_store(store_of(**TASKS), tmp_path / "copy", sequences=listed, check=True)
        again = copy_store(store_of(**TASKS), tmp_path / "copy", sequences=listed, check=True)
        assert (again.objects, again.bytes, again.complete) == (0, 0, True)


class TestRefusals:
    def test_ids_that_the_source_lacks(self, store_of: StoreOf, tmp_path: Path) -> None:
        ids = [*ids_of(store_of())[:2], "nobody", "noone", "nothing", "nowhere"]
        with pytest.raises(
            UsageError, match=r"lacks 4 of 6 sequences, such as 'nobody', 'noone', 'nothing'; .*nothing is copied"
        ):
            copy_store(store_of(), tmp_path / "copy", sequences=ids)
        assert not (tmp_path / "copy").exists()

    def test_other_choices(self, store_of: StoreOf, tmp_path: Path) -> None:
        ids = ids_of(store_of())
        with pytest.raises(UsageError, match="cannot be chosen together"):
            copy_store(store_of(), tmp_path / "copy", sequences=ids, tasks=1)
        with pytest.raises(SiteError, match="no site 'nowhere'"):
            copy_store(store_of(), tmp_path / "copy", sequences=ids, sites="nowhere")
        with pytest.raises(NoSplitError, match="no split 'nowhere'"):
            copy_store(store_of(), tmp_path / "copy", sequences=ids, splits="nowhere")
        with pytest.raises(CorpusError, match="there is no such file"):
            copy_store(store_of(), tmp_path / "copy", sequences=tmp_path / "nowhere.txt")
        assert not (tmp_path / "copy").exists()

    def test_a_source_that_lacks_rows(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        ids = ids_of(store)
        copy_store(store, tmp_path / "part", tasks=1)
        with pytest.raises(UsageError, match=r"is a part of a store and lacks rows of \d+ of 20 sequences"):
            copy_store(tmp_path / "part", tmp_path / "copy", sequences=ids)
        (store / "manifest.json").unlink()
        (store / "commits/1.json").unlink()
        with pytest.raises(IncompleteStoreError, match="is not complete"):
            copy_store(store, tmp_path / "copy", sequences=ids)
        assert not (tmp_path / "copy").exists()

    def test_damage_in_the_source_is_not_copied(self, own_store: StoreOf, tmp_path: Path) -> None:
        store = own_store()
        flip(store / "sites/embed/values/c/1/0", 100)
        with pytest.raises(CorruptObjectError, match=r"sites/embed/values.*task 1"):
            copy_store(store, tmp_path / "copy", sequences=ids_of(store))

    def test_other_places(self, store_of: StoreOf, tmp_path: Path) -> None:
        ids = ids_of(store_of())
        copy_store(store_of(), tmp_path / "copy", sequences=ids)
        for changed in (
            {"sequences": ids[1:]},
            {"sequences": ids, "sites": "embed"},
            {"sequences": ids, "splits": "train"},
        ):
            with pytest.raises(UsageError, match="is another store, or a copy of other sequences or sites"):
                copy_store(store_of(), tmp_path / "copy", **changed)
        with pytest.raises(UsageError, match="is another store, or a copy of other sequences or sites"):
            copy_store(store_of(seed=5), tmp_path / "copy", sequences=ids)
        with pytest.raises(UsageError, match="is a copy of another store"):
            copy_store(store_of(), tmp_path / "copy")
        shutil.copytree(store_of(), tmp_path / "store")
        with pytest.raises(UsageError, match="is another store"):
            copy_store(store_of(), tmp_path / "store", sequences=ids)
        with pytest.raises(UsageError, match="source and destination are the same"):
            copy_store(store_of(), store_of(), sequences=ids)

    def test_a_disk_that_is_too_small_is_said_first(
        self, store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(room, "free_disk", lambda _place: 1000)
        with pytest.raises(StoreError, match=r"are to be copied and 1.0 kB are free there.*fewer sequences"):
            copy_store(store_of(), tmp_path / "copy", sequences=ids_of(store_of()))
        assert not (tmp_path / "copy").exists()


class TestCommand:
    def test_it_copies_the_ids_of_a_fasta_from_a_manifest_file(
        self, store_of: StoreOf, synthetic_fasta: Path, tmp_path: Path
    ) -> None:
        export_manifest(store_of(), tmp_path / "store.json")
        records = dict(list(read_fasta(synthetic_fasta).items())[:7])
        write_records(tmp_path / "some.fasta", records)
        words = ("copy", tmp_path / "store.json", tmp_path / "copy", "--sequences", tmp_path / "some.fasta")
        done = actstore(*words, "--site", "embed", "--json")
        assert done.code == 0, done.err
        assert (done.document["sites"], done.document["sequences"]) == (["embed"], 7)
        assert done.document["manifest_sha256"] == open_manifest(tmp_path / "copy").digest
        assert "7, with a plan of their own" in actstore(*words, "--site", "embed").out
        assert_same_rows(store_of(), tmp_path / "copy", list(records), "embed")

    def test_plain_copies_say_null(self, store_of: StoreOf, tmp_path: Path) -> None:
        assert actstore("copy", store_of(), tmp_path / "copy", "--json").document["sequences"] is None

    def test_unknown_ids_fail(self, store_of: StoreOf, tmp_path: Path) -> None:
        (tmp_path / "ids.txt").write_text("# mine\n\nnobody\n")
        done = actstore("copy", store_of(), tmp_path / "copy", "--sequences", tmp_path / "ids.txt")
        assert done.code != 0
        assert "lacks 1 of 1 sequences, such as 'nobody'" in " ".join(done.err.split())

    def test_the_recipe_has_no_part(self, store_of: StoreOf, tmp_path: Path) -> None:
        (tmp_path / "ids.txt").write_text("\n".join(ids_of(store_of())))
        actstore("copy", store_of(), tmp_path / "copy", "--sequences", tmp_path / "ids.txt", "--site", "embed")
        recipe = json.loads((tmp_path / "copy/recipe.json").read_bytes())
        assert recipe["part"] is None
        assert [site[0] for site in recipe["sites"]] == ["embed"]
