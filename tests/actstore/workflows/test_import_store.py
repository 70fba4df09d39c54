"""Files of others become a store: the values that were in them, and nothing that was not."""

import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from numpy.typing import NDArray

from actstore import import_store, open_store, open_stream, repair_imported, repair_store, verify_store
from actstore.errors import ModelError, NumericsError, RecipeChangedError, SourceError, UsageError
from actstore.view.reports import ImportReport
from actstore.workflows.extraction.deadline import Stop
from actstore.workflows.extraction.shares import Share
from actstore.workflows.inspect import inspect_store
from tests.actstore.intake.made import LETTERS, SOURCES, WIDTH, Made, proteins, write_fasta_of
from tests.actstore.workflows.killing import Kill, extract_in_a_process
from tests.actstore.workflows.stores import contents, plain_rows

SMALL = {"store.task_rows": 512, "store.chunk_rows": 64}
DATA = Path(__file__).resolve().parents[2] / "data"


@pytest.fixture(params=SOURCES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    folder = tmp_path / "source"
    folder.mkdir()
    return SOURCES[request.param](folder)


def of_kind(kind: str, tmp_path: Path) -> Made:
    folder = tmp_path / f"source-{kind}"
    folder.mkdir()
    return SOURCES[kind](folder)


def assert_holds(store: Path, rows: Mapping[str, NDArray[np.float32]], site: str, *, exact: bool = False) -> None:
    """Compare every row of a store, as plain zarr reads it, with what was in the files."""
    stored = plain_rows(store)
    assert sorted(stored.residue_N) == sorted((name, index) for name in rows for index in range(len(rows[name])))
    wanted = np.stack([rows[name][position] for name, position in stored.residue_N])
    error = np.abs(stored.values[site] - wanted)
    allowed = np.zeros_like(wanted) if exact else 0.5001 * stored.step[site] + 1e-6 * np.abs(wanted)
    assert (error <= allowed).all()


def test_every_format_is_recognised_and_gives_its_rows(made: Made, tmp_path: Path) -> None:
    store = tmp_path / "store"
    report = import_store(made.place, str(store), recipe_options=SMALL)
    assert (report.format, report.known) == (made.format, made.known)
    assert report.store.complete
    [site] = report.sites
    assert report.sites[site] == WIDTH
    assert_holds(store, made.rows, site)
    verified = verify_store(str(store))
    assert verified.ok, verified.faults
    assert "imported" in str(verified.not_recomputed)
    assert_says_what_is_unknown(store, report, made)


def assert_says_what_is_unknown(store: Path, report: ImportReport, made: Made) -> None:
    inspected = inspect_store(str(store))
    assert inspected.imported is not None
    assert (tuple(inspected.imported["known"]), tuple(inspected.imported["unknown"])) == (report.known, report.unknown)
    assert (inspected.model["name"] == "unknown") == ("model" in report.unknown)
    assert (inspected.model["architecture"], inspected.model["weights_sha256"]) == ("unknown", "unknown")
    assert set("".join(pq.read_table(store / "sequences.parquet")["residues"].to_pylist())) == {"X"}
    stored = plain_rows(store)
    tokens = {
        name: np.full(len(values), -1) if made.tokens is None else made.tokens[name]
        for name, values in made.rows.items()
    }
    assert stored.token_N == [tokens[name][position] for name, position in stored.residue_N]
    with open_store(store) as opened:
        assert f"unknown: {', '.join(report.unknown) or 'nothing'}" in repr(opened)


@pytest.mark.parametrize("encoding", ["float16", "bfloat16", "int4"])
def test_every_encoding(encoding: str, tmp_path: Path) -> None:
    made, store = of_kind("pt_dictionary", tmp_path), tmp_path / "store"
    import_store(made.place, str(store), recipe_options={**SMALL, "store.encoding": encoding})
    rows = made.rows
    if encoding == "bfloat16":
        rows = {name: torch.tensor(values).bfloat16().float().numpy() for name, values in rows.items()}
    assert_holds(store, rows, "acts", exact=encoding != "int4")
    assert verify_store(str(store)).ok


def test_what_saelens_cached_comes_in_as_the_model_gave_it(tmp_path: Path) -> None:
    """Written by the library itself; see `make_saelens.py`."""
    store, given = tmp_path / "store", np.load(DATA / "saelens.npz")
    report = import_store(DATA / "saelens", str(store), recipe_options=SMALL)
    assert (report.format, report.known, report.sequences) == ("saelens", ("positions", "tokens"), 32)
    names = [f"data-{file:05d}-of-00004.arrow[{index}]" for file in range(4) for index in range(8)]
    assert_holds(store, dict(zip(names, given["values"], strict=True)), "blocks.1.hook_resid_post")
    stored = plain_rows(store)
    tokens = dict(zip(names, given["tokens"], strict=True))
    assert stored.token_N == [tokens[name][position] for name, position in stored.residue_N]
    assert verify_store(str(store)).ok


def test_a_data_set_with_ids_and_residues_is_known_altogether(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows, store = proteins(), tmp_path / "store"
    texts = write_fasta_of(tmp_path / "texts.fasta", rows)
    columns = {
        "id": list(rows),
        "sequence": list(texts.values()),
        "acts": [values.tolist() for values in rows.values()],
        "input_ids": [[LETTERS.index(letter) for letter in text] for text in texts.values()],
    }
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(columns).save_to_disk(str(tmp_path / "source"), num_shards=3)
    report = import_store(tmp_path / "source", str(store), model="mine", recipe_options=SMALL)
    assert (report.format, report.unknown) == ("hf", ())
    assert_holds(store, rows, "acts")
    with open_store(store) as opened:
        protein = opened.rows("P00007")
        assert protein.protein == protein.residues == texts["P00007"]
    assert verify_store(str(store)).ok


def test_residues_come_from_a_file_of_sequences_by_id(tmp_path: Path) -> None:
    made, fasta = of_kind("h5_keys", tmp_path), tmp_path / "proteins.fasta"
    texts = write_fasta_of(fasta, {**proteins(3, seed=9, shortest=90, longest=99), **made.rows})
    import_store(made.place, str(tmp_path / "store"), sequences=str(fasta), recipe_options=SMALL)
    with open_store(tmp_path / "store") as opened:
        assert opened.rows("P00011").residues == texts["P00011"]
        assert "unknown: tokens, model" in repr(opened)
    others = tmp_path / "others.fasta"
    write_fasta_of(others, proteins(5))
    with pytest.raises(SourceError, match=r"25 of 30 sequences are not in the file of sequences, such as 'P00005'"):
        import_store(made.place, str(tmp_path / "other"), sequences=str(others))
    write_fasta_of(others, {name: values[1:] for name, values in made.rows.items()})
    with pytest.raises(SourceError, match=r"P00000 has \d+ rows, and \d+ residues in the file"):
        import_store(made.place, str(tmp_path / "other"), sequences=str(others))


def test_rows_without_ids_are_those_of_a_file_of_sequences_in_its_order(tmp_path: Path) -> None:
    rows, folder, fasta = proteins(), tmp_path / "source", tmp_path / "proteins.fasta"
    folder.mkdir()
    texts = write_fasta_of(fasta, rows)
    everything = np.concatenate(list(rows.values()))
    np.save(folder / "a.npy", everything[:777])  # in the middle of a protein
    np.save(folder / "b.npy", everything[777:])
    report = import_store(folder, str(tmp_path / "store"), sequences=str(fasta), recipe_options=SMALL)
    assert report.unknown == ("tokens", "model")
    assert_holds(tmp_path / "store", rows, "activations")
    with open_store(tmp_path / "store") as opened:
        assert opened.rows("P00004").residues == texts["P00004"]
    (folder / "b.npy").unlink()
    with pytest.raises(SourceError, match=r"hold 777 rows without ids, and the file of sequences [\d,]+ residues"):
        import_store(folder, str(tmp_path / "other"), sequences=str(fasta))


def test_shuffled_rows_have_no_residues_and_no_partner(tmp_path: Path) -> None:
    made, fasta = of_kind("interplm_shuffled", tmp_path), tmp_path / "proteins.fasta"
    write_fasta_of(fasta, made.rows)
    with pytest.raises(SourceError, match="shuffled rows"):
        import_store(made.place, str(tmp_path / "store"), sequences=str(fasta))
    with pytest.raises(SourceError, match="shuffled for each site by itself"):
        import_store({"a": made.place, "b": made.place}, str(tmp_path / "store"))


def test_folders_of_the_same_rows_become_sites(tmp_path: Path) -> None:
    """Also if they are sharded in another way."""
    rows, store = np.concatenate(list(proteins().values())), tmp_path / "store"
    for name, factor, cut in (("three", 1, 300), ("five", 2, 800)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "0.npy", factor * rows[:cut])
        np.save(tmp_path / name / "1.npy", factor * rows[cut:])
    sources = [f"resid_post.3={tmp_path / 'three'}", f"resid_post.5={tmp_path / 'five'}"]
    report = import_store(sources, str(store), recipe_options={**SMALL, "store.encoding": "float16"})
    assert report.sites == {"resid_post.3": WIDTH, "resid_post.5": WIDTH}
    values = plain_rows(store).values
    np.testing.assert_allclose(values["resid_post.5"], 2 * values["resid_post.3"], rtol=1e-3, atol=1e-6)
    np.save(tmp_path / "five" / "1.npy", rows[801:])
    with pytest.raises(SourceError, match="not the same rows"):
        import_store(sources, str(tmp_path / "other"))
    with pytest.raises(SourceError, match="two sources have one site"):
        import_store([tmp_path / "three", tmp_path / "three"], str(tmp_path / "other"))


def test_a_stream_gives_each_row_once_and_mixed(tmp_path: Path) -> None:
    made, store = of_kind("npy", tmp_path), tmp_path / "store"
    import_store(made.place, str(store), recipe_options={**SMALL, "splits.fractions": {"train": 1.0}})
    everything = np.concatenate(list(made.rows.values()))
    batches = list(open_stream(str(store), batch_rows=128))
    seen = np.concatenate([batch.row_B for batch in batches])
    assert len(np.unique(seen)) == len(seen) > len(everything) - 128
    assert (np.concatenate([batch.token_B for batch in batches]) == -1).all()


class TestResuming:
    def test_a_killed_import_goes_on_and_gives_the_same_bytes(self, tmp_path: Path) -> None:
        made, whole, store = of_kind("h5_keys", tmp_path), tmp_path / "whole", tmp_path / "store"
        options = [f"--set={name}={value}" for name, value in SMALL.items()]
        log = tmp_path / "log"
        assert extract_in_a_process(made.place, whole, *options, log=log, command="import") == 0, log.read_text()
        for kill in (Kill("after", "recipe.json"), Kill("before", "commits/1.json"), Kill("after", "commits/2.json")):
            asked = (made.place, store, *options)
            assert extract_in_a_process(*asked, log=log, kill=kill, command="import") == -signal.SIGKILL
        before = (store / "commits/1.json").stat().st_ino
        assert extract_in_a_process(made.place, store, *options, log=log, command="import") == 0, log.read_text()
        assert contents(store) == contents(whole)
        assert (store / "commits/1.json").stat().st_ino == before

    def test_shares_and_a_time_limit(self, tmp_path: Path) -> None:
        made, store = of_kind("npy", tmp_path), str(tmp_path / "store")
        begun = import_store(made.place, store, recipe_options=SMALL, stop=Stop(after_s=0.0))
        assert (begun.store.tasks_done, begun.store.stopped) == (0, "time")
        assert not import_store(made.place, store, recipe_options=SMALL, share=Share(1, 2)).store.complete
        assert import_store(made.place, store, recipe_options=SMALL, share=Share(2, 2)).store.complete

    def test_a_folder_may_move_but_not_change(self, tmp_path: Path) -> None:
        made, store = of_kind("npy", tmp_path), str(tmp_path / "store")
        import_store(made.place, store, recipe_options=SMALL, share=Share(1, 2))
        moved = shutil.move(made.place, tmp_path / "moved")
        assert import_store(moved, store, recipe_options=SMALL).store.complete
        values = np.load(Path(moved) / "shard_2.npy")
        values[5, 5] += 1
        np.save(Path(moved) / "shard_2.npy", values)
        with pytest.raises(RecipeChangedError, match=r"imported\.digest"):
            import_store(moved, store, recipe_options=SMALL)

    def test_other_options_are_another_store(self, tmp_path: Path) -> None:
        made, store = of_kind("npy", tmp_path), str(tmp_path / "store")
        import_store(made.place, store, recipe_options=SMALL)
        with pytest.raises(RecipeChangedError, match=r"store\.encoding"):
            import_store(made.place, store, recipe_options={**SMALL, "store.encoding": "int4"})


class TestDamage:
    @pytest.fixture
    def damaged(self, tmp_path: Path) -> tuple[Made, Path, dict[str, bytes]]:
        """A source, its store with a byte changed, and what the store was before."""
        made, store = of_kind("h5_keys", tmp_path), tmp_path / "store"
        import_store(made.place, str(store), recipe_options=SMALL)
        sound = contents(store)
        path = store / "sites/activations/values/c/1/0"
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")
        return made, store, sound

    def test_it_is_repaired_from_the_files(self, damaged: tuple[Made, Path, dict[str, bytes]]) -> None:
        made, store, sound = damaged
        assert not verify_store(str(store)).ok
        report = repair_imported(made.place, str(store))
        assert (report.ok, report.tasks) == (True, (1,))
        assert contents(store) == sound

    def test_no_model_can_repair_it_and_the_way_out_is_said(self, damaged: tuple[Made, Path, dict[str, bytes]]) -> None:
        _, store, _ = damaged
        with pytest.raises(ModelError, match=r"imported from h5 files.*actstore import SOURCE URI.*--repair"):
            repair_store(str(store))

    def test_other_files_do_not_repair_it(self, damaged: tuple[Made, Path, dict[str, bytes]], tmp_path: Path) -> None:
        _, store, _ = damaged
        with pytest.raises(RecipeChangedError):
            repair_imported(of_kind("h5_original_ids", tmp_path).place, str(store))


class TestRefusals:
    def test_a_row_that_is_not_finite_is_named(self, tmp_path: Path) -> None:
        rows = np.concatenate(list(proteins().values()))
        rows[300, 2] = np.nan
        np.save(tmp_path / "a.npy", rows)
        with pytest.raises(NumericsError, match=r"a\.npy\[256:512\], residue 45, site activations"):
            import_store(tmp_path / "a.npy", str(tmp_path / "store"))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"model.name": "x"}, "model.name cannot be set for an import"),
            ({"store.encoding": "int3"}, "store.encoding"),
            ({"store.task_row": 5}, "task_rows"),
        ],
    )
    def test_fields_that_are_not_the_users(self, options: dict[str, object], message: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=message):
            import_store(of_kind("npy", tmp_path).place, str(tmp_path / "store"), recipe_options=options)

    def test_nothing_is_written_among_other_files(self, tmp_path: Path) -> None:
        made = of_kind("npy", tmp_path)
        with pytest.raises(UsageError, match="not empty"):
            import_store(made.place, str(made.place))


def test_a_source_larger_than_memory_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No read is longer than a block of rows, or a protein."""
    from actstore.intake.raw import RawArray  # noqa: PLC0415

    longest, read = [0], RawArray.read
    made = of_kind("npy", tmp_path)

    def watched(self: RawArray, start: int, stop: int) -> NDArray[np.float32]:
        longest[0] = max(longest[0], stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(RawArray, "read", watched)
    import_store(made.place, str(tmp_path / "store"), recipe_options=SMALL)
    assert 0 < longest[0] <= 256
