import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from actstore.contracts.recipe import Recipe
from actstore.extract.known_models import known_sites
from actstore.store.read.manifest import Manifest
from actstore.workflows.recipes import read_recipe
from actstore.workflows.schemas import schemas, write_schemas

MANIFESTS = Path(__file__).resolve().parents[3] / "manifests"
RECIPES = sorted(MANIFESTS.glob("*.toml"))


@pytest.mark.parametrize("name", schemas())
def test_the_shipped_schemas_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    write_schemas(tmp_path)
    assert (MANIFESTS / name).read_bytes() == (tmp_path / name).read_bytes(), (
        "run: python -m actstore.workflows.schemas manifests"
    )


def test_they_name_every_field_with_its_meaning() -> None:
    recipe = schemas()["recipe.schema.json"]
    assert recipe["properties"].keys() == Recipe.model_fields.keys()
    sections = {name: section["properties"] for name, section in recipe["$defs"].items()}
    silent = [
        f"{name}.{key}" for name, fields in sections.items() for key in fields if "description" not in fields[key]
    ]
    assert not silent
    manifest = schemas()["manifest.schema.json"]["$defs"]["Manifest"]  # a merge has manifests in it
    assert manifest["properties"].keys() == Manifest.model_fields.keys()


def test_they_refuse_unknown_keys() -> None:
    def objects(schema: Any) -> list[dict[str, Any]]:
        if isinstance(schema, list):
            return [one for part in schema for one in objects(part)]
        if not isinstance(schema, dict):
            return []
        here = [schema] if "properties" in schema and schema.get("type") == "object" else []
        return here + [one for part in schema.values() for one in objects(part)]

    for schema in schemas().values():
        open_ended = [one.get("title") for one in objects(schema) if one.get("additionalProperties") is not False]
        assert set(open_ended) <= {"ModelFacts"}


def test_there_are_recipes_to_begin_with() -> None:
    assert {path.stem for path in RECIPES} >= {"esm2-8m-uniref50", "prott5-xl-uniref50-all24"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
class TestTheShippedRecipes:
    def test_parse_and_ask_for_sites_that_the_model_has(self, path: Path) -> None:
        recipe = read_recipe(path)
        sites = known_sites(recipe.model.name, recipe.sites)
        assert sites is not None
        assert len(sites) >= len(recipe.sites)

    def test_name_the_schema_that_editors_check_them_with(self, path: Path) -> None:
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first == "#:schema ./recipe.schema.json"
        assert json.loads((MANIFESTS / "recipe.schema.json").read_bytes())["title"] == "Recipe"

    def test_say_only_what_the_schema_knows(self, path: Path) -> None:
        schema = schemas()["recipe.schema.json"]
        for section, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(table, dict):
                definition = schema["$defs"][f"{section.capitalize()}Recipe"]
                assert table.keys() <= definition["properties"].keys()
