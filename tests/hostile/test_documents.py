"""Manifests, recipes and commits of strangers: a valid document, or one sentence of ours, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actstore.access.open import LocalObjects
from actstore.errors import ActstoreError, CorruptObjectError, ManifestError
from actstore.store.read.manifest import parse_manifest
from actstore.store.read.manifest_files import read_manifest_file
from actstore.store.read.open import locate_store
from actstore.store.write.commit import load_commit
from actstore.store.write.frozen_recipe import load_frozen
from actstore.view.reports import report_manifest
from actstore.workflows.recipes import parse_recipe, read_recipe
from tests.hostile.mutations import ATTACKS, MORE, any_json, damaged_bytes, mutated, paths

StoreOf = Callable[..., Path]

SLOW_TO_SHARE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
MOST_LETTERS = 10_000


def refused_or(parse: Callable[[], Any]) -> Any:
    """Return what was parsed, None where it was refused in a sentence that a terminal can show."""
    try:
        return parse()
    except ActstoreError as error:
        message = str(error)
    assert message.replace("\n  ", "").isprintable()
    assert len(message) < MOST_LETTERS
    return None


def parse_and_describe(data: bytes) -> None:
    manifest = refused_or(lambda: parse_manifest(data, name="shared.json"))
    if manifest is None:
        return
    assert parse_manifest(manifest.to_json(uri=manifest.uri), name="again") == manifest
    report_manifest(manifest)


@pytest.fixture(scope="module")
def manifest(store_of: StoreOf) -> Any:
    return json.loads((store_of() / "manifest.json").read_bytes())


@given(data=st.data())
@settings(max_examples=150 * MORE, suppress_health_check=SLOW_TO_SHARE)
def test_any_json_in_place_of_any_part_of_a_manifest(manifest: Any, data: st.DataObject) -> None:
    parse_and_describe(data.draw(mutated(manifest)))


def test_each_attack_in_place_of_each_part_of_a_manifest(manifest: Any) -> None:
    """Exhaustive where it can be: whatever is tried, wherever."""
    places = list(paths(manifest))
    for number, path in enumerate(places[1:]):
        for attack in ATTACKS[number % 3 :: 3]:
            part, copy = None, json.loads(json.dumps(manifest))
            part = copy
            for step in path[:-1]:
                part = part[step]
            part[path[-1]] = attack
            parse_and_describe(json.dumps(copy).encode())


@given(data=st.data())
@settings(max_examples=60 * MORE, suppress_health_check=SLOW_TO_SHARE)
def test_bytes_of_a_manifest_that_were_cut_or_bent(manifest: Any, data: st.DataObject) -> None:
    parse_and_describe(data.draw(damaged_bytes(json.dumps(manifest).encode())))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 200_000, "nested too deeply"),
        (b'{"format": "actstore/2", "format": "actstore/2"}', "names 'format' twice"),
        (b'{"format": "\xff"}', "not UTF-8"),
        ('{"format": "actstore/2"}'.encode("utf-16"), "not UTF-8"),
        (b'{"format": ' + b"1" * 10_000 + b"}", "Exceeds the limit"),
        (b'{"format": "' + b"A" * 1_000_000 + b'"}', r"A\.\.\. \(1,000,002 letters\)"),
        (b'{"format": "\\u001b[2J"}', r"found '\\x1b\[2J'"),
        (b'{"format": "\\ud800"}', r"found '\\ud800'"),
        (b"[" + b"0," * (1 << 21) + b"0,0]", "more than 2,097,152 values"),
    ],
    ids=range(10),
)
def test_a_manifest_made_to_confuse_is_refused_in_one_short_line(text: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=f"^shared.json: not a manifest.*{message}") as caught:
        parse_manifest(text, name="shared.json")
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "uri",
    [
        "reference://evil.json",
        "simplecache::s3://bucket/store",
        "zip://store::https://example.org/evil.zip",
        "dask://store",
        "ssh://root@example.org/etc",
        "github://org:repo@/",
        "s3://bucket/../other",
        "../../etc",
        "/data/../etc",
        "",
        "s3://bucket/\x1b[2J",
        "s3://bucket/a\nb",
        "s3://" + "a" * 5_000,
        "\x00",
    ],
)
def test_a_manifest_names_no_place_but_a_folder_or_plain_storage(
    manifest: Any, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("something was opened")

    monkeypatch.setattr("actstore.store.read.open.open_objects", opened)
    shared = tmp_path / "shared.json"
    shared.write_text(json.dumps(manifest | {"uri": uri}))
    with pytest.raises(ManifestError, match="uri") as caught:
        locate_store(shared)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["../../../etc", "..", "a/b", "/etc", "a\\b", ".hidden", "", "a\x00b", "A" * 1000, "é"]
)
def test_the_name_of_a_site_is_the_name_of_a_folder_of_the_store(own_store: StoreOf, name: str) -> None:
    store = own_store()
    for document in ("manifest.json", "recipe.json"):
        old, new = b'"resid_post.0"', json.dumps(name).encode()
        (store / document).write_bytes((store / document).read_bytes().replace(old, new))
    with pytest.raises(ManifestError, match="cannot be the name of a site"):
        read_manifest_file(store / "manifest.json")
    with pytest.raises(CorruptObjectError, match="cannot be the name of a site"):
        load_frozen(LocalObjects(store))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": 10**12}, "at most 1,048,576"),
        ({"array_rows": 10**15}, "array_rows is not where"),
        ({"array_rows": True}, "valid integer"),
        ({"rows": "1"}, "valid integer"),
        ({"rows": 1.0}, "valid integer"),
        ({"sites": []}, "0 sites"),
        ({"sites": [["a", "m", 0]]}, "0 features"),
        ({"sites": [["a", "m", -5]]}, "-5 features"),
        ({"sites": [["a", "m", 10**12]]}, "1,000,000,000,000 features"),
        ({"sites": [["a", "m", 16], ["a", "m", 16]]}, "two sites have one name"),
        ({"sites": [[f"a{number}", "m", 1 << 20] for number in range(8)]}, "widest of 8 sites"),
        ({"sites": [[f"a{number}", "m", 1] for number in range(2000)]}, "2,000 sites"),
        ({"recipe.store.task_rows": 10**18}, "16777216"),
        ({"recipe.store.task_rows": 1 << 24, "recipe.store.chunk_rows": 1}, "chunks in a task"),
        (
            {"recipe.store.task_rows": 1 << 24, "recipe.store.chunk_rows": 1 << 24, "sites": [["a", "m", 1 << 10]]},
            "values",
        ),
        ({"recipe.splits.fractions": {f"s{number}": 0.005 for number in range(200)}}, "200 splits"),
        ({"splits": {"\u001b[2J": {"sequences": 1, "rows": 1, "first_task": 0, "tasks": 1}}}, "identifiers"),
    ],
    ids=range(17),
)
def test_sizes_beyond_all_bounds_are_refused_before_anything_is_set_aside(
    own_store: StoreOf, changes: dict[str, Any], message: str
) -> None:
    path = own_store() / "recipe.json"
    document = json.loads(path.read_bytes())
    for dotted, value in changes.items():
        *above, last = dotted.split(".")
        part = document
        for key in above:
            part = part[key]
        part[last] = value
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptObjectError, match=message) as caught:
        load_frozen(LocalObjects(path.parent))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@given(data=st.data())
@settings(max_examples=100 * MORE, suppress_health_check=SLOW_TO_SHARE)
def test_any_json_in_place_of_any_part_of_a_frozen_recipe(
    store_of: StoreOf, tmp_path: Path, data: st.DataObject
) -> None:
    document = json.loads((store_of() / "recipe.json").read_bytes())
    (tmp_path / "recipe.json").write_bytes(data.draw(mutated(document)))
    frozen = refused_or(lambda: load_frozen(LocalObjects(tmp_path)))
    if frozen is not None:
        (tmp_path / "recipe.json").write_bytes(frozen.to_json())
        assert load_frozen(LocalObjects(tmp_path)) == frozen


@given(data=st.data())
@settings(max_examples=100 * MORE, suppress_health_check=SLOW_TO_SHARE)
def test_any_json_in_place_of_any_part_of_a_commit(store_of: StoreOf, tmp_path: Path, data: st.DataObject) -> None:
    original = (store_of() / "commits" / "0.json").read_bytes()
    folder = tmp_path / "commits"
    folder.mkdir(exist_ok=True)
    changed = data.draw(st.one_of(mutated(json.loads(original)), damaged_bytes(original)))
    (folder / "0.json").write_bytes(changed)
    commit = refused_or(lambda: load_commit(LocalObjects(tmp_path), 0))
    assert commit is None or commit.to_json() == changed


@given(
    document=st.dictionaries(st.sampled_from(["model", "corpus", "sites", "rows", "splits", "store", "seed"]), any_json)
)
@settings(max_examples=100 * MORE)
def test_any_recipe_is_one_or_is_refused(document: dict[str, Any]) -> None:
    refused_or(lambda: parse_recipe(document, name="x.toml"))


@pytest.mark.parametrize(
    "text",
    [
        b"seed = " + b"9" * 10_000,
        b"a = " + b"[" * 10_000,
        b"a." * 5_000 + b"b = 1",
        b'[corpus]\nsequences = "a\\u0000b"\n[model]\nname = "m"',
        b"d = 9999-99-99",
        b"\xff\xfe",
        b"\x00",
        b'[model]\nname = "x"\n[corpus]\nsequences = "' + b"a" * 100_000 + b'"\nformat = "x"',
        b"seed = inf",
        b'"\\u001b[2J" = 1',
    ],
    ids=range(10),
)
def test_a_toml_file_made_to_confuse_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(text)
    found = refused_or(lambda: read_recipe(path))
    assert found is None or b"\\u0000" in text  # a path that nobody has, which is found when it is opened


@pytest.mark.parametrize("document", ["manifest.json", "recipe.json", "commits/0.json"])
def test_no_more_of_a_document_is_read_than_any_has(own_store: StoreOf, document: str) -> None:
    """A file of a terabyte that holds nothing: whoever reads it whole runs out of memory."""
    store = own_store()
    with (store / document).open("r+b") as file:
        file.truncate(1 << 40)
    objects = LocalObjects(store)
    read: dict[str, Callable[[], object]] = {
        "manifest.json": lambda: locate_store(store),
        "recipe.json": lambda: load_frozen(objects),
        "commits/0.json": lambda: load_commit(objects, 0),
    }
    with pytest.raises(CorruptObjectError, match=rf"{document} has more than 67,108,864 bytes"):
        read[document]()
