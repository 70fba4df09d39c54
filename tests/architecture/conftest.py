import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(scope="session")
def sources() -> dict[str, str]:
    """Text of every module, by its path below src."""
    return {path.relative_to(SRC).as_posix(): path.read_text(encoding="utf-8") for path in sorted(SRC.rglob("*.py"))}


@pytest.fixture(scope="session")
def trees(sources: dict[str, str]) -> dict[str, ast.Module]:
    """Syntax tree of every module, by its path below src."""
    return {path: ast.parse(source, filename=path) for path, source in sources.items()}
