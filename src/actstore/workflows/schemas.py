"""JSON schemas of recipe and manifest, generated from the models that validate them.

`python -m actstore.workflows.schemas manifests` writes them; editors complete and check recipes with them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from actstore.contracts.recipe import Recipe
from actstore.store.read.manifest import Manifest

__all__ = ["schemas", "write_schemas"]


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by file name."""
    return {
        "recipe.schema.json": Recipe.model_json_schema(),
        "manifest.schema.json": Manifest.model_json_schema(),
    }


def write_schemas(folder: Path) -> None:
    """Write every schema into a folder."""
    for name, schema in schemas().items():
        (folder / name).write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
