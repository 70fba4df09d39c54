"""Frozen recipes with other fields."""

import json
from typing import Any

from actstore.store.write.frozen_recipe import FrozenRecipe

__all__ = ["changed"]


def changed(frozen: FrozenRecipe, **changes: Any) -> FrozenRecipe:
    """Return a copy with dotted fields of its JSON document replaced."""
    document = json.loads(frozen.to_json())
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        part = document
        for key in path:
            part = part[key]
        part[last] = value
    return FrozenRecipe.model_validate_json(json.dumps(document))
