"""Another program reads every encoding with the example, and with what the documents print of it."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from actstore import open_stream
from actstore.access.open import LocalObjects
from actstore.contracts.recipe import Recipe
from actstore.workflows.extract import extract_with
from tests.actstore.workflows.stores import TwoWidths

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "plain_zarr.py"
ALL = slice(None)
SITES = ("wide", "narrow")
STORES = {
    "float16": {"store.encoding": "float16", "store.compressor": "zstd"},
    "bfloat16": {"store.encoding": "bfloat16", "store.compressor": "blosc"},
    "int8": {"store.encoding": "int8"},
    "int4": {"store.encoding": "int4", "store.compressor": "zstd"},
    "int4, not compressed": {"store.encoding": "int4"},
}

RecipeOf = Callable[..., Recipe]
StoreOf = Callable[..., Path]
ReadRows = Callable[[str, str, slice | NDArray[np.int64]], NDArray[np.float32]]


@pytest.fixture(scope="module")
def read_rows() -> ReadRows:
    """The function of the example."""
    function: ReadRows = runpy.run_path(str(EXAMPLE))["read_rows"]
    return function


class Written(NamedTuple):
    """A store and how it came to be."""

    folder: Path
    task_rows: int
    exact: bool
    """Whether a value is what is stored, without arithmetic."""
    of_rows: list[str]
    """Objects with rows, and commits, in the order in which they were written."""


class _Recorded(LocalObjects):
    """A folder that remembers the order in which objects were created."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.created: list[str] = []

    def put_new(self, path: str, data: bytes) -> bool:
        self.created.append(path)
        return super().put_new(path, data)


@pytest.fixture(scope="module", params=STORES)
def written(request: pytest.FixtureRequest, recipe_of: RecipeOf, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A complete store of two sites with different widths, for each encoding. Do not write into it."""
    objects = _Recorded(tmp_path_factory.mktemp("plain") / "store")
    recipe = recipe_of(sites=SITES, **{"rows.fraction": 0.5}, **STORES[request.param])
    extract_with(TwoWidths(), objects, recipe)
    of_rows = [path for path in objects.created if re.match(r"(rows/\w+|scales/\w+|sites/.*/values)/c/|commits/", path)]
    return Written(Path(objects.uri), recipe.store.task_rows, recipe.store.encoding.endswith("float16"), of_rows)


@pytest.fixture
def store(written: Written) -> Path:
    """Where that store is."""
    return written.folder


def streamed(store: Path, site: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the global rows, ascending, and their values as a stream of ours gives them."""
    rows: list[NDArray[np.int64]] = []
    values: list[NDArray[np.float32]] = []
    with open_stream(store, sites=[site], split=None, batch_rows=1000) as stream:
        for batch in stream:
            rows.append(batch.row_B)
            values.append(batch.values_BSD[:, 0])
    row_N = np.concatenate(rows)
    order_N = np.argsort(row_N)
    return row_N[order_N], np.concatenate(values)[order_N]


def assert_same(plain_ND: NDArray[np.float32], streamed_ND: NDArray[np.float32], *, exact: bool) -> None:
    """The order of the multiplications is not part of the formula: last bits of int8 and int4 may differ."""
    last_bits = 0 if exact else 2.0**-22 * float(np.abs(streamed_ND).max(initial=0))
    assert plain_ND.shape == streamed_ND.shape
    np.testing.assert_allclose(plain_ND, streamed_ND, rtol=0, atol=last_bits)


@pytest.mark.parametrize("site", SITES)
def test_it_gives_the_floats_that_a_stream_gives(written: Written, site: str, read_rows: ReadRows) -> None:
    store = written.folder
    row_N, values_ND = streamed(store, site)
    assert 0 < row_N[-1] + 1 - len(row_N) < len(row_N)  # some rows in between are holes
    plain_ND = read_rows(str(store), site, ALL)
    assert plain_ND.dtype == np.float32
    assert_same(plain_ND, values_ND, exact=written.exact)
    some_N = np.array([700, 3, 4])
    np.testing.assert_array_equal(read_rows(str(store), site, some_N), plain_ND[some_N])


def test_it_leaves_out_what_an_unfinished_store_lacks(written: Written, read_rows: ReadRows, tmp_path: Path) -> None:
    """The store as a kill after each object of a task would leave it, up to the third task."""
    store = written.folder
    row_N, values_ND = streamed(store, "wide")
    part = shutil.copytree(store, tmp_path / "store")
    for path in written.of_rows:
        (part / path).unlink()
    told: set[int] = set()
    for path in written.of_rows:
        shutil.copyfile(store / path, part / path)
        if path.startswith("rows/sequence/"):
            told.add(int(path.rpartition("/")[2]))
        want_ND = values_ND[np.isin(row_N // written.task_rows, list(told))]
        assert_same(read_rows(str(part), "wide", ALL), want_ND, exact=written.exact)
        if len(told) == 3:
            break
    assert told == {0, 1, 2}


def test_it_runs_alone_and_imports_nothing_of_ours(store: Path, tmp_path: Path) -> None:
    script = shutil.copy(EXAMPLE, tmp_path / "elsewhere.py")
    imported = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module).split(".")[0]
        for node in ast.walk(ast.parse(EXAMPLE.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported - sys.stdlib_module_names == {"numpy", "zarr"}
    done = subprocess.run([sys.executable, script, store, "wide"], check=True, capture_output=True, text=True)
    assert re.fullmatch(r"wide: \d+ rows of 300 features, mean norm [\d.]+\n", done.stdout), done


class TestTheReadme:
    def test_what_it_prints_runs(
        self, store: Path, read_rows: ReadRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "store").symlink_to(store)
        monkeypatch.chdir(tmp_path)
        names: dict[str, Any] = {}
        definition = printed().partition("\nx = ")[0]  # its last line reads a site of another store
        exec(definition, names)  # noqa: S102 - to try it is what this test is for
        for site in SITES:
            want_ND = read_rows("store", site, slice(1000))
            np.testing.assert_array_equal(names["read_rows"]("store", site, slice(1000)), want_ND)

    def test_it_prints_the_code_of_the_example(self) -> None:
        assert code_of(printed()) == code_of(EXAMPLE.read_text("utf-8"))


def printed() -> str:
    """Return the documents' block of code that defines `read_rows`."""
    page = (REPOSITORY / "docs" / "how-to" / "look-into-a-store.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if "def read_rows" in block)
    return str(block)


def code_of(source: str) -> str:
    """Return the function `read_rows` without comments, docstring, types and layout."""
    tree = ast.parse(source)
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "read_rows")
    if ast.get_docstring(function) is not None:
        del function.body[0]
    return ast.unparse(_Untyped().visit(function))


class _Untyped(ast.NodeTransformer):
    """Takes types away."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        for argument in node.args.args:
            argument.annotation = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        assert node.value is not None
        return ast.fix_missing_locations(ast.Assign([node.target], node.value))
