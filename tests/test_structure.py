"""The shape of the code: attributes are born in one place, and classes and functions stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TREES = ("automl_engine", "formatters", "webapp")
MOST_METHODS = 20
MOST_LINES = 60
"""Lines of a function, with its head and its docstring."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
NODES: list[tuple[str, ast.ClassDef | Function]] = [
    (str(path.relative_to(ROOT)), node)
    for tree in TREES
    for path in sorted((ROOT / tree).rglob("*.py"))
    if "migrations" not in path.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
    if isinstance(node, ast.ClassDef | Function)
]
CLASSES = [(file, node) for file, node in NODES if isinstance(node, ast.ClassDef)]


def methods(of: ast.ClassDef) -> list[Function]:
    return [node for node in of.body if isinstance(node, Function)]


def assigned(method: Function) -> Iterator[str]:
    """Attributes of ``self`` that it sets; an annotation alone sets nothing."""
    bare = {node.target for node in ast.walk(method) if isinstance(node, ast.AnnAssign) and node.value is None}
    for node in ast.walk(method):
        if not isinstance(node, ast.Attribute) or node in bare:
            continue
        if isinstance(node.ctx, ast.Store) and ast.unparse(node) == f"self.{node.attr}":
            yield node.attr


def created(of: ast.ClassDef) -> Iterator[str]:
    """Attributes that exist when an object has been made: of its class, and of the classes that it inherits from."""
    is_dataclass = any("dataclass" in ast.unparse(decorator) for decorator in of.decorator_list)
    for node in of.body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and (node.value or is_dataclass):
            yield node.target.id
    for method in methods(of):
        if method.name in ("__init__", "__post_init__"):
            yield from assigned(method)
        if any(ast.unparse(decorator).endswith(".setter") for decorator in method.decorator_list):
            yield method.name
    bases = {ast.unparse(base).split("[")[0].split(".")[-1] for base in of.bases}
    for _, other in CLASSES:
        if other.name in bases and other is not of:
            yield from created(other)


def test_every_attribute_is_created_with_its_object() -> None:
    late = {
        f"{file}: {node.name}.{name}"
        for file, node in CLASSES
        for name in {name for method in methods(node) for name in assigned(method)} - set(created(node))
    }
    assert not late


def test_no_class_has_many_methods() -> None:
    assert not {f"{file}: {node.name}" for file, node in CLASSES if len(methods(node)) > MOST_METHODS}


def test_every_function_fits_a_screen() -> None:
    functions = [(file, node) for file, node in NODES if isinstance(node, Function)]
    lines = [(file, node.name, (node.end_lineno or 0) - node.lineno + 1) for file, node in functions]
    assert not [function for function in lines if function[-1] > MOST_LINES]
