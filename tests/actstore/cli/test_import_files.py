from pathlib import Path

import numpy as np
import pytest

from tests.actstore.cli.command import actstore
from tests.actstore.intake.made import SOURCES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return SOURCES["npy"](tmp_path / "source").place


def test_a_folder_becomes_a_store_that_other_commands_take(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = actstore("import", folder, store, "--encoding=float16", "--set=store.task_rows=1024", "--quiet", "--json")
    assert done.code == 0, done.err
    report = done.document
    assert (report["format"], report["known"], report["sites"]) == ("npy", [], {"activations": 24})
    assert report["store"]["complete"]
    assert actstore("verify", store, "--json", "--quiet").document["ok"]
    shown = actstore("inspect", store)
    assert "from npy files; unknown: ids, positions, residues, tokens, model" in shown.out
    assert "shard_2.npy[" in actstore("rows", store, "--rows=0-3", "--quiet").out


def test_the_table_says_what_was_taken_how(folder: Path, tmp_path: Path) -> None:
    done = actstore("import", f"resid_post.3={folder}", tmp_path / "store", "--model=mine", "--quiet")
    assert done.code == 0, done.err
    assert "resid_post.3 (24 features)" in done.out
    assert "blocks of 256" in done.out
    assert "Imported" in done.out


def test_shares_say_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    small = ("--set=store.task_rows=512", "--quiet")
    begun = actstore("import", folder, tmp_path / "store", "--shard-of=1/2", *small)
    assert "the same command without --shard-of does the remaining tasks" in begun.out
    stopped = actstore("import", folder, tmp_path / "store", "--stop-after=0", *small)
    assert (stopped.code, "the same command continues" in stopped.out) == (0, True)
    assert actstore("import", folder, tmp_path / "store", *small, "--json").document["store"]["complete"]


def test_damage_is_repaired_from_the_files(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert actstore("import", folder, store, "--quiet").code == 0
    (store / "sites/activations/values/c/0/0").unlink()
    assert actstore("verify", store, "--quiet").code == 1
    told = actstore("repair", store, "--quiet")
    assert told.code == 1
    assert "--repair" in told.err
    assert actstore("import", folder, store, "--repair", "--quiet").code == 0
    assert actstore("verify", store, "--quiet").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("FOLDER",), "name a source and the store"),
        (("FOLDER", "STORE", "--keys=names"), "--keys = 'names': sites or ids"),
        (("FOLDER", "STORE", "--format=np"), "no such format"),
        (("FOLDER", "STORE", "--repair", "--seed=3"), "seed with --repair"),
        (("s3://bucket/acts", "STORE"), "sources are local"),
        (("FOLDER", "STORE", "--set=corpus.window_residues=5"), "cannot be set for an import"),
    ],
)
def test_requests_that_are_wrong(words: tuple[str, ...], message: str, folder: Path, tmp_path: Path) -> None:
    places = {"FOLDER": str(folder), "STORE": str(tmp_path / "store")}
    done = actstore("import", *(places.get(word, word) for word in words), "--quiet")
    assert done.code == 2
    assert message in done.err.replace("\n", " ")


def test_a_source_that_is_no_source(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(5))
    done = actstore("import", tmp_path / "a.npy", tmp_path / "store", "--quiet")
    assert (done.code, "no activations of shape" in done.err) == (1, True)
    assert not (tmp_path / "store").exists()
