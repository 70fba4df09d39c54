"""The commands that share a store; what they do is in `tests/actstore/workflows/test_export_manifest.py`."""

from collections.abc import Callable
from pathlib import Path

from actstore.store.read.manifest_files import read_manifest_file
from tests.actstore.cli.command import actstore
from tests.services.web import WebServer

StoreOf = Callable[..., Path]


def test_the_command_exports(store_of: StoreOf, tmp_path: Path) -> None:
    done = actstore("manifest", "export", store_of(), "-o", tmp_path / "shared.json", "--json")
    assert done.code == 0
    assert done.document["manifest_sha256"] == read_manifest_file(tmp_path / "shared.json").digest
    again = actstore("manifest", "export", store_of(), "-o", tmp_path / "shared.json")
    assert (again.code, again.out) == (1, "")
    assert "exists" in again.err


def test_what_was_written_says_how_somebody_else_uses_it(own_store: StoreOf, tmp_path: Path) -> None:
    store, file = own_store(), tmp_path / "shared.json"
    done = actstore("manifest", "export", store, "-o", file, "--place", "s3://lab/copy")
    assert done.code == 0, done.err
    said = "".join(done.out.split())
    for use in (f"actstoreinspect{file}", f"trainerread-from-store{file}", f'actstore.open_store("{file}")'):
        assert use in said
    assert read_manifest_file(file).places == ("s3://lab/copy",)


def test_a_store_that_was_moved_is_told_to_the_manifest(own_store: StoreOf, tmp_path: Path) -> None:
    store, file = own_store(), tmp_path / "shared.json"
    actstore("manifest", "export", store, "-o", file)
    moved = store.rename(tmp_path / "moved")
    assert actstore("inspect", file).code == 1
    assert actstore("inspect", file, "--uri", moved, "--json").document["uri"] == str(moved)
    assert actstore("rows", file, "--uri", moved, "--rows=0").code == 0
    assert actstore("inspect", moved, "--uri", moved).code == 2
    assert actstore("manifest", "relocate", file, "--uri", moved, "--json").document["uri"] == str(moved)
    assert actstore("inspect", file).code == 0


def test_two_stores_are_compared(store_of: StoreOf, tmp_path: Path) -> None:
    actstore("manifest", "export", store_of(), "-o", tmp_path / "shared.json")
    assert actstore("manifest", "diff", tmp_path / "shared.json", store_of()).code == 0
    done = actstore("manifest", "diff", store_of(), store_of(**{"store.encoding": "float16"}))
    assert done.code == 1
    assert "not the same" in done.out
    assert "12 with other bytes: 0, 1, 2" in " ".join(done.out.split())
    assert "float16" in done.out


def test_a_manifest_at_a_url_is_shown_and_validated(store_of: StoreOf, tmp_path: Path) -> None:
    actstore("manifest", "export", store_of(), "-o", tmp_path / "shared.json")
    digest = read_manifest_file(tmp_path / "shared.json").digest
    (tmp_path / "other.json").write_text("{}")
    with WebServer(tmp_path) as web:
        assert actstore("manifest", "show", f"{web.url}/shared.json", "--json").document["manifest_sha256"] == digest
        assert digest in actstore("manifest", "validate", f"{web.url}/shared.json").out
        wrong = actstore("manifest", "validate", f"{web.url}/other.json", "--json")
        assert (wrong.code, wrong.document["valid"]) == (1, False)
        assert "no such file" in actstore("manifest", "show", f"{web.url}/none.json").err
