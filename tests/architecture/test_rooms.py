"""Rooms stay small, and no two modules need each other. Layers and floors are import-linter's."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

MOST_MODULES = 20


def module_name(path: str) -> str:
    """Return the dotted name of a module from its path below src."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def named_modules(tree: ast.Module, modules: Mapping[str, str]) -> Iterator[str]:
    """Yield the modules of the project that a module names in an import or a text, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in modules:
                    yield whole
                elif node.module in modules:
                    yield node.module
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in modules:
            yield node.value  # `import_module("actstore.extract.model")`


def circles(imports: Mapping[str, set[str]]) -> list[set[str]]:
    """Return the sets of modules that import each other, directly or by way of others (Tarjan 1972)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        path.append(module)
        for other in imports[module]:
            if other not in number:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            start = path.index(module)
            group, path[start:] = set(path[start:]), []
            if len(group) > 1:
                found.append(group)

    for module in imports:
        if module not in number:
            visit(module)
    return found


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set()}) == [{"a", "b", "c"}]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_need_each_other(trees: dict[str, ast.Module]) -> None:
    """Imports for type checkers and inside functions count: whoever reads one module has to read the other, too."""
    modules = {module_name(path): path for path in trees}
    facade = {"actstore"}  # names the homes of the public interface, and every module is below it
    imports = {
        name: set(named_modules(trees[path], modules)) - facade - {name}
        for name, path in modules.items()
        if name not in facade
    }
    assert not circles(imports)


def test_below_the_facade_nobody_goes_through_it(trees: dict[str, ast.Module]) -> None:
    """Except for `errors`, which the facade does not import from anywhere."""
    detours = {
        f"{path} imports actstore.{alias.name}"
        for path, tree in trees.items()
        if path.startswith("actstore/") and path != "actstore/__init__.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "actstore"
        for alias in node.names
        if alias.name != "errors"
    }
    assert not detours


def test_rooms_have_at_most_20_modules(trees: dict[str, ast.Module]) -> None:
    rooms = Counter(path.rpartition("/")[0] for path in trees if not path.endswith("__init__.py"))
    assert not {room: modules for room, modules in rooms.items() if modules > MOST_MODULES}
