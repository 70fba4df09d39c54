"""Stores whose maker has seen to it that every digest is right."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.access.open import LocalObjects
from actstore.contracts.progress import Silent
from actstore.contracts.windows import RowWindow
from actstore.errors import ActstoreError, CorruptObjectError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.read.assemble_manifest import assemble_manifest
from actstore.store.read.manifest import parse_manifest
from actstore.store.read.reader import ArrayReader
from actstore.store.write.frozen_recipe import load_frozen
from actstore.workflows.care.examine import examine
from actstore.workflows.care.recompute import model_at_hand
from actstore.workflows.care.verify import verify_store
from tests.actstore.cli.command import actstore
from tests.hostile.sealing import json_bytes

StoreOf = Callable[..., Path]
VALUES = "sites/embed/values/c/0/0"


def forge_commit(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the commit of task 0, and what the manifest says of it."""
    path = store / "commits" / "0.json"
    commit = json.loads(path.read_bytes())
    change(commit)
    path.write_bytes(json_bytes(commit))
    manifest = json.loads((store / "manifest.json").read_bytes())
    manifest["commits"][0] = sha256_hex(path.read_bytes())
    (store / "manifest.json").write_bytes(canonical_json(manifest))


def forge_object(store: Path, path: str, data: bytes) -> None:
    """Replace an object of task 0, and what its commit says of it."""
    (store / path).write_bytes(data)

    def change(commit: dict[str, Any]) -> None:
        commit["objects"][path] |= {"size": len(data), "sha256": sha256_hex(data)}

    forge_commit(store, change)


def read_rows(store: Path) -> None:
    objects = LocalObjects(store)
    manifest = parse_manifest(objects.get("manifest.json"), name="manifest.json")
    ArrayReader(objects, manifest).rows("sites/embed/values", RowWindow(0, 0, 100))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda commit: commit["objects"].pop(VALUES), f"does not name {VALUES}"),
        (lambda commit: commit["objects"][VALUES].update(size=1 << 50), "its commit says 1,125,899,906,842,624 bytes"),
        (lambda commit: commit["objects"][VALUES].update(size=0), "its commit says 0 bytes"),
        (lambda commit: commit["objects"][VALUES].update(size=10**30), "does not parse"),
        (lambda commit: commit["objects"][VALUES].update(crc32c=""), "names 0 chunks, its rows need"),
        (lambda commit: commit["objects"][VALUES].update(crc32c="é"), "does not parse"),
        (lambda commit: commit.update(rows=10**9), "has 1000000000 rows, the plan"),
        (lambda commit: commit.update(rows=True), "does not parse"),
        (lambda commit: commit.update(task=1), "is the commit of task 1"),
    ],
    ids=range(9),
)
@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_a_commit_that_cannot_be_is_refused(
    own_store: StoreOf, compressor: str, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    store = own_store(**{"store.compressor": compressor})
    forge_commit(store, change)
    with pytest.raises(CorruptObjectError, match=message) as caught:
        read_rows(store)
    assert str(caught.value).isprintable()
    assert not verify_store(str(store), recompute=False).ok


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("mean", float("nan"), "is no mean"),
        ("mean", float("inf"), "is no mean"),
        ("mean", 1e308, "is no mean of .* more than 3.4"),
        ("m2", -1.0, "is no m2"),
        ("noise", -1.0, "is no noise"),
        ("max_abs", float("nan"), "is no max_abs"),
        ("norm_sum", float("inf"), "is no norm_sum"),
        ("count", -1, "is no count"),
        ("count", 1 << 62, "is no count of .* rows"),
        ("saturated", -(1 << 62), "is no saturated"),
    ],
)
def test_statistics_that_cannot_be_are_refused(own_store: StoreOf, name: str, value: float, message: str) -> None:
    store = own_store()
    path = next(
        (store / "statistics" / name / "c" / "0").parent.glob("0/**/*"), store / "statistics" / name / "c" / "0"
    )
    path = path if path.is_file() else next(one for one in path.rglob("*") if one.is_file())
    dtype = json.loads((store / "statistics" / name / "zarr.json").read_bytes())["data_type"]
    changed = np.frombuffer(path.read_bytes(), dtype=dtype).copy()
    changed[0] = value
    forge_object(store, path.relative_to(store).as_posix(), changed.tobytes())
    with pytest.raises(CorruptObjectError, match=message) as caught:
        assemble_manifest(LocalObjects(store))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("size", [0, 7, 1 << 20])
def test_statistics_of_another_size_are_refused(own_store: StoreOf, size: int) -> None:
    store = own_store()
    forge_object(store, "statistics/count/c/0/0", bytes(size))
    with pytest.raises(CorruptObjectError, match="statistics/count/c/0/0"):
        assemble_manifest(LocalObjects(store))


@pytest.mark.parametrize(
    "document",
    [b"[" * 200_000, b"\xff", b'{"attributes":{"actstore":{"recipe_sha256":{}}}}', b"{}", b"null", bytes(1 << 20)],
    ids=range(6),
)
@pytest.mark.parametrize("path", ["zarr.json", "sites/embed/values/zarr.json"])
def test_zarr_metadata_are_compared_and_never_followed(own_store: StoreOf, path: str, document: bytes) -> None:
    store = own_store()
    (store / path).write_bytes(document)
    found = examine(LocalObjects(store), progress=Silent())
    assert [fault.object for fault in found.faults] == [path]
    read_rows(store)


def test_a_large_file_in_place_of_metadata_is_not_read_whole(own_store: StoreOf) -> None:
    store = own_store()
    with (store / "zarr.json").open("r+b") as file:
        file.truncate(1 << 40)
    assert [fault.object for fault in examine(LocalObjects(store), progress=Silent()).faults] == ["zarr.json"]


@pytest.mark.parametrize("switch", ["remote_code", "pickle_weights"])
def test_the_recipe_of_a_store_does_not_make_verify_run_code(own_store: StoreOf, switch: str, tmp_path: Path) -> None:
    store = own_store()
    ran = tmp_path / "ran"
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "evil.Config"}, "model_type": "evil"}))
    (model / "evil.py").write_text(f"from pathlib import Path\nPath({str(ran)!r}).touch()\n")
    frozen = load_frozen(LocalObjects(store))
    asked = frozen.recipe.model.model_copy(update={"name": str(model), switch: True})
    forged = frozen.model_copy(
        update={
            "recipe": frozen.recipe.model_copy(update={"model": asked}),
            "model": replace(frozen.model, name=str(model)),
        }
    )
    found, reason = model_at_hand(forged, device="cpu")
    assert found is None
    assert "run code that comes with it" in reason
    assert not ran.exists()


def test_a_terminal_obeys_nothing_that_a_store_says(own_store: StoreOf) -> None:
    store = own_store()
    for name in ("recipe.json", "manifest.json"):
        document = json.loads((store / name).read_bytes())
        (document.get("frozen") or document)["model"]["architecture"] = "\x1b]0;owned\x07\x1b[2J\u202e[red]x[/]"
        (store / name).write_bytes(canonical_json(document))
    manifest = json.loads((store / "manifest.json").read_bytes())
    manifest["recipe_sha256"] = load_frozen(LocalObjects(store)).digest
    (store / "manifest.json").write_bytes(canonical_json(manifest))
    (store / "sites" / "\x1b[31mred").write_bytes(b"")
    for command in (("inspect", str(store)), ("verify", str(store), "--no-recompute"), ("gc", str(store))):
        done = actstore(*command)
        shown = (done.out + done.err).replace("\n", "")
        assert shown.isprintable(), ascii(shown)


def test_an_error_shows_no_more_than_a_terminal_can(tmp_path: Path) -> None:
    (tmp_path / "evil.json").write_text(json.dumps({"format": "\x1b[2J" * 100_000}))
    done = actstore("inspect", str(tmp_path / "evil.json"))
    assert done.code == 1
    assert done.err.replace("\n", "").isprintable()
    assert len(done.err) < 500


def test_nothing_outside_of_a_store_is_opened(own_store: StoreOf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site by the name of a folder elsewhere, in every document, with all digests right."""
    store = own_store()
    for file in (store / "recipe.json", store / "manifest.json"):
        file.write_bytes(file.read_bytes().replace(b'"resid_post.0"', b'"../../../outside"'))
    opened: list[str] = []
    read = LocalObjects.get_range

    def watched(self: LocalObjects, path: str, start: int, stop: int) -> bytes:
        opened.append(path)
        return read(self, path, start, stop)

    monkeypatch.setattr(LocalObjects, "get_range", watched)
    with pytest.raises(ActstoreError):
        assemble_manifest(LocalObjects(store))
    examine(LocalObjects(store), progress=Silent())
    assert opened
    assert not [path for path in opened if ".." in path]
