"""The manifest: one document that describes a store, and refuses to describe nonsense."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actstore.errors import ManifestError
from actstore.store.format.canonical import sha256_hex
from actstore.store.read import manifest as module
from actstore.store.read.manifest import Manifest, parse_manifest

StoreOf = Callable[..., Path]


@pytest.fixture(scope="module")
def data(store_of: StoreOf) -> bytes:
    return (store_of() / "manifest.json").read_bytes()


@pytest.fixture(scope="module")
def manifest(data: bytes) -> Manifest:
    return parse_manifest(data, name="manifest.json")


def changed(data: bytes, **changes: Any) -> bytes:
    document = json.loads(data)
    for dotted, value in changes.items():
        *path, last = dotted.split("/")
        part = document
        for key in path:
            part = part[key]
        part[last] = value
    return json.dumps(document).encode()


def test_a_round_trip_keeps_every_byte(data: bytes, manifest: Manifest) -> None:
    assert manifest.to_json(uri=None) == data
    assert manifest.digest == sha256_hex(data)


def test_the_digest_ignores_where_the_store_is(manifest: Manifest) -> None:
    elsewhere = parse_manifest(manifest.to_json(uri="s3://bucket/store"), name="x")
    assert elsewhere.uri == "s3://bucket/store"
    assert elsewhere.digest == manifest.digest
    assert elsewhere != manifest
    assert manifest.model_copy(update={"uri": "s3://bucket/store"}) == elsewhere


def test_the_digest_does_not_ignore_anything_else(data: bytes, manifest: Manifest) -> None:
    for changes in (
        {"commits": [None, *json.loads(data)["commits"][1:]]},
        {"stored": json.loads(data)["stored"] | {"total": 1}},
        {"metadata/recipe.json": "0" * 64},
        {"statistics/embed/saturated": 1},
    ):
        assert parse_manifest(changed(data, **changes), name="x").digest != manifest.digest


def test_it_says_what_the_store_contains(manifest: Manifest) -> None:
    assert [site.name for site in manifest.sites] == ["embed", "resid_post.0", "resid_post.1", "final_norm"]
    assert manifest.model.architecture == "FakeModel"
    assert manifest.encoding == "int8"
    assert manifest.rows == sum(split.rows for split in manifest.splits.values())
    assert sum(split.sequences for split in manifest.splits.values()) == 60
    assert manifest.complete
    assert manifest.tasks_done == manifest.frozen.tasks == len(manifest.commits)
    assert manifest.statistics["embed"].mean_D.shape == (16,)


def test_it_counts_the_tasks_that_are_done(data: bytes) -> None:
    commits = json.loads(data)["commits"]
    partial = parse_manifest(changed(data, commits=[None, *commits[1:-1], None]), name="x")
    assert partial.tasks_done == len(commits) - 2
    assert not partial.complete


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not a manifest"),
        (b"\x89PNG\r\n\x1a\n\x00", "not a manifest"),
        (b"{", "not a manifest"),
        (b'{"format": "actstore/2", ', "not a manifest"),
        (b"[" * 100_000, "not a manifest: nested too deeply"),
        (b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not a manifest: nested too deeply"),
        (b"1" * 5000, "not a manifest: Exceeds the limit"),
        (b"[]", "found None"),
        (b"null", "found None"),
        (
            b'{"format": "actstore/1"}',
            "its format is 'actstore/1', .* reads 'actstore/2' alone; extract again",
        ),
        (b'{"format": "actstore-run/1"}', "wanted format 'actstore/2', found 'actstore-run/1'"),
        (b'{"zarr_format": 3}', "found None"),
        (b'{"format": "actstore/2"}', "recipe_sha256: Field required"),
    ],
)
def test_what_is_no_manifest_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=f"^shared.json: .*{message}"):
        parse_manifest(text, name="shared.json")


def vector(*numbers: float) -> str:
    return base64.b64encode(np.array(numbers, "<f8").tobytes()).decode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more": 1}, "more: Extra inputs"),
        ({"commits": []}, "0 commits for 12 tasks"),
        ({"commits": ["x"] * 12}, "commits.0: String should match"),
        ({"commits": [1] * 12}, "commits.0"),
        ({"recipe_sha256": "0" * 64}, "recipe_sha256 is not the digest of the recipe in this manifest"),
        ({"frozen/recipe/seed": 1}, "recipe_sha256 is not the digest of the recipe in this manifest"),
        ({"frozen/recipe/seed": -1}, "frozen.recipe.seed"),
        ({"frozen/recipe/rows/fraction": float("nan")}, "frozen.recipe.rows.fraction"),
        ({"frozen/splits/train/tasks": 1}, "frozen: .*do not follow each other"),
        ({"metadata/recipe.json": "0"}, "metadata.recipe.json: String should match"),
        ({"stored/total": -1}, "stored.total"),
        ({"statistics": {}}, "statistics and sites differ"),
        ({"statistics/embed/mean_norm": float("nan")}, "statistics.embed.mean_norm"),
        ({"statistics/embed/mean_norm": float("inf")}, "statistics.embed.mean_norm"),
        ({"statistics/embed/mean_norm": None}, "statistics.embed.mean_norm"),
        ({"statistics/embed/count": -1}, "statistics.embed.count"),
        ({"statistics/embed/mean_D": vector(1, 2)}, "statistics.embed: 2 means and 16 variances"),
        ({"statistics/embed/variance_D": vector(*[0] * 17)}, "statistics.embed: 16 means and 17 variances"),
        ({"statistics/embed/mean_D": vector(*[float("nan")] * 16)}, "statistics.embed.mean_D: .*NaN or Inf"),
        ({"statistics/embed/mean_D": "?"}, "statistics.embed.mean_D: .*not base64"),
        ({"statistics/embed/mean_D": [0.0] * 16}, "statistics.embed.mean_D: .*expected base64"),
        ({"statistics/embed/outlier_channels": [{"channel": 0, "ratio": float("nan")}]}, "outlier_channels.0.ratio"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_manifest_that_contradicts_itself_is_refused(data: bytes, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=f"(?s)^shared.json: .*{message}"):
        parse_manifest(changed(data, **changes), name="shared.json")


def test_statistics_have_the_width_of_their_site(data: bytes, manifest: Manifest) -> None:
    wider = {
        f"statistics/embed/{name}": vector(*getattr(manifest.statistics["embed"], name), 0.0)
        for name in ("mean_D", "variance_D")
    }
    with pytest.raises(ManifestError, match="statistics of embed are not of its 16 features"):
        parse_manifest(changed(data, **wider), name="shared.json")


def test_int8_without_calibration_is_refused(manifest: Manifest) -> None:
    frozen = manifest.frozen.model_copy(update={"calibration": None})
    odd = manifest.model_copy(update={"frozen": frozen, "recipe_sha256": frozen.digest})
    with pytest.raises(ManifestError, match="encoding int8 without calibration"):
        parse_manifest(odd.to_json(uri=None), name="x")


def test_a_file_of_absurd_size_is_not_parsed(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_MANIFEST_BYTES", len(data) - 1)
    with pytest.raises(ManifestError, match="more than any manifest has"):
        parse_manifest(data, name="x")
