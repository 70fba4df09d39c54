"""Heavy imports stay in their rooms, and trainers at the door. That layers point upstream is import-linter's affair."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import actstore

REPOSITORY = Path(__file__).resolve().parents[2]

# Who may import what takes long to import, or ties code to a framework: paths below src.
ROOMS = {
    "torch": (
        "actstore/extract/",
        "actstore/intake/pt.py",
        "actstore/quantize/torch",
        "actstore/stream/tensors/",
        "trainers/",
    ),
    "transformers": ("actstore/corpus/model_files.py", "actstore/corpus/tokenizer.py", "actstore/extract/"),
    "zarr": ("actstore/store/",),
    "pyarrow": ("actstore/corpus/", "actstore/intake/", "actstore/store/", "trainers/workflows/training/labels.py"),
    "h5py": ("actstore/intake/h5.py",),
    "dask": ("actstore/store/browse/", "actstore/workflows/"),
    "xarray": ("actstore/store/browse/",),
    "distributed": ("actstore/workflows/",),
    "tensorboard": ("trainers/loggers/tensorboard.py",),
    "wandb": ("trainers/loggers/wandb.py",),
    "typer": ("actstore/cli/", "trainers/cli/"),
}
HEAVY = {"dask", "distributed", "h5py", "pyarrow", "tensorboard", "torch", "transformers", "wandb", "xarray", "zarr"}


def imports(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Yield every import of a module as (module, name), wherever it stands; name is None for plain imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield from ((node.module, alias.name) for alias in node.names)


def test_heavy_imports_stay_in_their_rooms(trees: dict[str, ast.Module]) -> None:
    strays = {
        f"{path} imports {package}"
        for path, tree in trees.items()
        for package in {module.split(".")[0] for module, _ in imports(tree)} & ROOMS.keys()
        if not path.startswith(ROOMS[package])
    }
    assert not strays


def test_imports_are_absolute(trees: dict[str, ast.Module]) -> None:
    relative = {
        path
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level > 0
    }
    assert not relative


def test_trainers_use_only_what_actstore_offers_to_everybody(trees: dict[str, ast.Module]) -> None:
    offered = {("actstore", name) for name in (None, *actstore.__all__)}
    intrusions = {
        f"{path} imports {module}" + (f".{name}" if name else "")
        for path, tree in trees.items()
        if path.startswith("trainers/")
        for module, name in imports(tree)
        if module.split(".")[0] == "actstore" and module != "actstore.errors" and (module, name) not in offered
    }
    assert not intrusions


@pytest.mark.parametrize(
    "program",
    [
        "import actstore",
        "import actstore.corpus, actstore.store, actstore.stream, actstore.testing",
        "import actstore.cli",
        "import sys; from actstore.cli import main; sys.argv[1:] = ['--help']; main()",
    ],
)
def test_the_door_opens_without_heavy_imports(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    timings = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert done.returncode == 0, done.stderr.splitlines()[-3:]
    imported = {line.rsplit("|", 1)[-1].strip() for line in timings}
    assert "actstore" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("trainers.workflows.read_from_store", "transformers"),
        ("trainers.workflows.read_from_store", "tensorboard"),
        ("trainers.workflows.read_from_store", "wandb"),
        ("actstore.workflows.care.verify", "transformers.models"),
        ("actstore.workflows.extract", "transformers.models"),
    ],
)
def test_what_takes_long_to_import_waits_until_it_is_needed(module: str, absent: str) -> None:
    program = f"import sys, {module}; raise SystemExit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_every_room_has_its_layer_and_alphabetical_order_is_the_order_of_the_data() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    upstream_first = next(contract["layers"] for contract in contracts if "containers" not in contract)[::-1]
    package = REPOSITORY / "src" / "actstore"
    rooms = sorted(
        f"actstore.{path.parent.name}" for path in package.glob("*/__init__.py") if path.parent.name != "cli"
    )
    lowest = [f"actstore.{name}" for name in ("redaction", "errors", "leaving")]
    assert upstream_first == [*lowest, *rooms, "actstore.cli", "trainers"]


def test_no_public_name_is_also_the_name_of_a_room() -> None:
    rooms = {path.name for path in (REPOSITORY / "src" / "actstore").iterdir() if path.is_dir()}
    assert not rooms & set(actstore.__all__), "importing the room would put the package in place of the public name"
