"""Change a store and make every digest right again, as an attacker would who wants the store to be believed."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from actstore.access.open import LocalObjects
from actstore.errors import ActstoreError
from actstore.store.format.canonical import canonical_json, sha256_hex
from actstore.store.write.frozen_recipe import load_frozen
from actstore.store.write.statistics import merge_statistics

__all__ = [
    "CHUNK_ROWS",
    "INDEX_BYTES",
    "TASK_ROWS",
    "change_document",
    "change_object",
    "json_bytes",
    "numbers",
    "reseal",
]

TASK_ROWS, CHUNK_ROWS = 512, 64
INDEX_BYTES = TASK_ROWS // CHUNK_ROWS * 16 + 4


def change_document(path: Path, change: Callable[[Any], Any]) -> None:
    """Change a JSON document in place; `change` may return another document."""
    document = json.loads(path.read_bytes())
    changed = change(document)
    path.write_bytes(json_bytes(document if changed is None else changed))


def json_bytes(document: Any) -> bytes:
    """Return canonical JSON, or JSON as Python writes it if the document holds numbers that have no canonical form."""
    try:
        return canonical_json(document)
    except ValueError:
        return json.dumps(document).encode()


def change_object(path: Path, change: Callable[[bytearray], Any]) -> None:
    """Change the bytes of an object in place."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def numbers(path: Path, dtype: str, change: Callable[[NDArray[Any]], Any], *, sharded: bool) -> None:
    """Change the numbers of an uncompressed object in place; those of a shard end where its index begins."""
    data = path.read_bytes()
    end = len(data) - INDEX_BYTES if sharded else len(data)
    values = np.frombuffer(data[:end], dtype=dtype).copy()
    change(values)
    path.write_bytes(values.tobytes() + data[end:])


def reseal(store: Path) -> None:
    """Compute anew whatever one document says of another: sizes, checksums, digests and sums."""
    _seal_recipe(store)
    for path in sorted((store / "commits").glob("*.json")):
        _seal_commit(store, path)
    _seal_manifest(store)


def restore(template: Path, store: Path) -> Path:
    """Return a fresh copy of a store."""
    shutil.rmtree(store, ignore_errors=True)
    return shutil.copytree(template, store)


def _recipe_digest(store: Path) -> str:
    return sha256_hex((store / "recipe.json").read_bytes())


def _seal_recipe(store: Path) -> None:
    def seal(recipe: Any) -> None:
        recipe["sequences_sha256"] = sha256_hex((store / "sequences.parquet").read_bytes())

    change_document(store / "recipe.json", seal)
    root = json.loads((store / "zarr.json").read_bytes())
    if isinstance(root, dict) and "recipe_sha256" in root.get("attributes", {}).get("actstore", {}):
        root["attributes"]["actstore"]["recipe_sha256"] = _recipe_digest(store)
        (store / "zarr.json").write_text(json.dumps(root, indent=2))


def _seal_commit(store: Path, path: Path) -> None:
    def seal(commit: Any) -> None:
        commit["recipe_sha256"] = _recipe_digest(store)
        for name, stored in commit["objects"].items():
            if not (store / name).is_file():
                continue
            data = (store / name).read_bytes()
            if sha256_hex(data) == stored["sha256"]:
                continue
            chunks = len(base64.b64decode(stored["crc32c"])) // 4
            if chunks:
                extent = (stored["size"] - INDEX_BYTES) // chunks
                checksums = [google_crc32c.value(data[i * extent :][:extent]) for i in range(chunks)]
                stored["crc32c"] = base64.b64encode(np.array(checksums, dtype="<u4").tobytes()).decode()
            stored |= {"size": len(data), "sha256": sha256_hex(data)}

    change_document(path, seal)


def _seal_manifest(store: Path) -> None:
    objects = LocalObjects(store)

    def seal(manifest: Any) -> None:
        manifest["frozen"] = json.loads((store / "recipe.json").read_bytes())
        manifest["recipe_sha256"] = _recipe_digest(store)
        for name in manifest["metadata"]:
            if (store / name).is_file():
                manifest["metadata"][name] = sha256_hex((store / name).read_bytes())
        commits = [store / "commits" / f"{task}.json" for task in range(len(manifest["commits"]))]
        manifest["commits"] = [sha256_hex(path.read_bytes()) if path.is_file() else None for path in commits]
        stored = [json.loads(path.read_bytes()) for path in commits if path.is_file()]
        manifest["stored"]["total"] = sum(one["size"] for each in stored for one in each["objects"].values())
        try:
            frozen = load_frozen(objects)
            statistics = merge_statistics(objects, frozen, range(len(commits)))
        except (ActstoreError, KeyError, IndexError):
            return  # what cannot be summed is left as it was
        for site, facts in statistics.items():
            manifest["statistics"][site] = facts.model_dump(mode="json")

    change_document(store / "manifest.json", seal)
