"""What every module owes its reader. Complexity, naming and formatting are ruff's; types are mypy's."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

MOST_MODULE_LINES = 350
MOST_FUNCTION_LINES = 60
LONG_FUNCTIONS = {
    "actstore/stream/open.py:open_stream": "a public signature: each keyword is documented",
}
MOST_UNTESTED_STATEMENT_LINES = 40

UNTESTED = {
    "actstore/view/care_reports.py": "named tuples without behaviour; filled and shown elsewhere",
    "actstore/errors.py": "class statements without behaviour; each error is tested where it is raised",
}

UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|HA" + r"CK)\b")
VAGUE = re.compile(r"(^|_)(utils?|helpers?|manager|handler|misc)($|_)|(Util|Helper|Manager|Handler)", re.ASCII)

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def public_definitions(node: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Yield the public functions and classes of a module, and the public methods of those classes; not overloads."""
    for child in node.body:
        overloads = [name for name in getattr(child, "decorator_list", []) if ast.unparse(name) == "overload"]
        if isinstance(child, Definition) and not child.name.startswith("_") and not overloads:
            yield child
            if isinstance(child, ast.ClassDef):
                yield from public_definitions(child)


def bound_names(tree: ast.Module) -> set[str]:
    """Return the names that a module defines, assigns or imports at its top level."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, Definition):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def exported_names(tree: ast.Module) -> list[str] | None:
    """Return `__all__`, or None where there is none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def statement_lines(tree: ast.Module) -> int:
    """Count the lines of a module without comments, docstrings, blank lines and the accidents of layout."""
    statements = ast.parse(ast.unparse(tree))
    for node in ast.walk(statements):
        if isinstance(node, ast.Module | Definition):
            node.body = [
                child
                for child in node.body
                if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant))
            ] or [ast.Pass()]
    return sum(bool(line.strip()) for line in ast.unparse(statements).splitlines())


def mirror_of(path: str) -> Path:
    """Return where the tests of a module belong."""
    module = Path(path)
    return REPOSITORY / "tests" / module.with_name(f"test_{module.stem.lstrip('_')}.py")


def test_modules_can_be_read_in_one_sitting(sources: dict[str, str]) -> None:
    long = {path: lines for path, text in sources.items() if (lines := text.count("\n")) > MOST_MODULE_LINES}
    assert not long


def test_functions_fit_on_a_screen(trees: dict[str, ast.Module]) -> None:
    """From the first line to the last, signature and docstring included."""
    long = {
        f"{path}:{node.name}": lines
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > MOST_FUNCTION_LINES
    }
    assert long.keys() == LONG_FUNCTIONS.keys(), long


def test_every_module_and_everything_public_says_what_it_is(trees: dict[str, ast.Module]) -> None:
    silent = [
        f"{path}:{getattr(node, 'name', 'module')}"
        for path, tree in trees.items()
        for node in (tree, *public_definitions(tree))
        if ast.get_docstring(node) is None
    ]
    assert not silent


def test_modules_export_exactly_what_they_make_public(trees: dict[str, ast.Module]) -> None:
    wrong = {}
    for path, tree in trees.items():
        public = {node.name for node in tree.body if isinstance(node, Definition) and not node.name.startswith("_")}
        exported = exported_names(tree)
        if exported is None:
            if public:
                wrong[path] = "no __all__"
        elif missing := public - set(exported):
            wrong[path] = f"not in __all__: {sorted(missing)}"
        elif not path.endswith("__init__.py") and (unbound := set(exported) - bound_names(tree)):
            wrong[path] = f"in __all__ but nowhere defined: {sorted(unbound)}"
    assert not wrong


def test_packages_hold_what_they_export(trees: dict[str, ast.Module]) -> None:
    absent = [
        f"{path}: {name}"
        for path, tree in trees.items()
        if path.endswith("__init__.py")
        for name in exported_names(tree) or []
        if not hasattr(importlib.import_module(Path(path).parent.as_posix().replace("/", ".")), name)
    ]
    assert not absent


def test_tests_mirror_modules(trees: dict[str, ast.Module]) -> None:
    untested = {
        path
        for path, tree in trees.items()
        if statement_lines(tree) > MOST_UNTESTED_STATEMENT_LINES and not mirror_of(path).is_file()
    }
    missing = sorted(untested - UNTESTED.keys())
    assert not missing, "\n".join(missing)
    assert not UNTESTED.keys() - untested


def test_nothing_prints_past_the_command_line(trees: dict[str, ast.Module]) -> None:
    prints = [
        f"{path}:{node.lineno}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not prints


def test_names_say_what_a_thing_is(trees: dict[str, ast.Module]) -> None:
    vague = [
        f"{path}:{name}"
        for path, tree in trees.items()
        for name in (Path(path).stem, *(node.name for node in tree.body if isinstance(node, Definition)))
        if VAGUE.search(name)
    ]
    assert not vague


def test_nothing_is_left_for_later() -> None:
    folders = ("src", "tests", "benchmarks", "docs", "examples", "manifests")
    files = [
        path
        for folder in folders
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".md", ".toml"}
    ]
    files += [REPOSITORY / name for name in ("CHANGELOG.md", "Makefile", "README.md", "pyproject.toml")]
    left = [path.relative_to(REPOSITORY).as_posix() for path in files if UNFINISHED.search(path.read_text("utf-8"))]
    assert not left
