"""Nothing that is read is ever run: no code is made of text, and nothing is unpickled."""

import ast

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "runpy"}
FORBIDDEN_ATTRIBUTES = {("torch", "load"), ("torch", "jit"), ("torch", "hub"), ("os", "system"), ("os", "popen")}
FORBIDDEN_OPTIONS = {"allow_pickle", "shell", "weights_only"}
PROCESSES = {"subprocess", "multiprocessing"}
TENSORS_ALONE = "actstore/intake/pt.py"
"""Reads tensors of others, with `torch.load(weights_only=True)`; it may name the error of what else would be run."""


def imported(tree: ast.Module) -> set[str]:
    """Return the top packages that a module imports."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in found}


def test_no_module_makes_code_of_text(trees: dict[str, ast.Module]) -> None:
    calls = {
        f"{path}: {node.func.id}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS
    }
    assert not calls


def test_no_module_unpickles(trees: dict[str, ast.Module]) -> None:
    trees = {path: tree for path, tree in trees.items() if path != TENSORS_ALONE}
    modules = {f"{path}: {name}" for path, tree in trees.items() for name in imported(tree) & FORBIDDEN_MODULES}
    attributes = {
        f"{path}: {node.value.id}.{node.attr}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in FORBIDDEN_ATTRIBUTES
    }
    names = {
        f"{path}: from {node.module} import {alias.name}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if (node.module, alias.name) in FORBIDDEN_ATTRIBUTES
    }
    options = {
        f"{path}: {keyword.arg}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in FORBIDDEN_OPTIONS
    }
    assert not modules | attributes | names | options


def test_tensors_are_loaded_without_anything_that_runs(trees: dict[str, ast.Module]) -> None:
    nodes = list(ast.walk(trees[TENSORS_ALONE]))
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"]
    assert len(calls) == 1
    assert [ast.unparse(option.value) for option in calls[0].keywords if option.arg == "weights_only"] == ["True"]
    named = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "pickle"
        for alias in node.names
    }
    assert named == {"UnpicklingError"}


def test_no_array_of_numpy_is_read_from_a_file(trees: dict[str, ast.Module]) -> None:
    """`np.load` takes pickles where it is told to; arrays here are plain bytes whose shape is known before."""
    found = {
        f"{path}: np.{node.attr}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in {"np", "numpy"}
        and node.attr in {"load", "fromfile", "genfromtxt"}
    }
    assert not found


def test_no_module_starts_another_program_but_the_one_that_asks_slurm(trees: dict[str, ast.Module]) -> None:
    found = {path for path, tree in trees.items() if imported(tree) & PROCESSES}
    assert found == {"actstore/workflows/clusters/slurm_jobs.py"}
