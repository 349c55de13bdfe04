"""A submission as people have it: a folder with ``model.py``, a folder around it, or the whole starting kit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from automl_engine.errors import DataError

KIT = "AutoDL_sample_code_submission"
"""Where the challenge's starting kit keeps the code that is submitted."""
MAX_LISTED = 5
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
CALLED = ("train", "test")
GRAPH_CODE = re.compile(r"\b(Session|InteractiveSession|placeholder|disable_eager_execution|disable_v2_behavior)\(")
GONE = re.compile(r"\b(?:tf|tensorflow)\.(contrib|estimator|layers)\b")
"""What no TensorFlow of today has under any name."""


def code_folder(root: Path) -> Path:
    """The folder whose ``model.py`` the challenge runs.  The code is parsed, never run.

    Raises:
        DataError: there is none, or more than one, it has no class Model, or a link leads out of its folder.
    """
    places = [path.parent for path in sorted(root.rglob("model.py")) if path.is_file()]
    kit = [folder for folder in places if folder.name == KIT]
    found = [root] if root in places else kit or places
    if not found:
        held = sorted(entry.name for entry in root.iterdir())
        packed = next((name for name in held if name.lower().endswith(ARCHIVES)), None)
        advice = f"unpack {packed} and give its content" if packed else "add it with its class Model(metadata)"
        raise DataError(f"The submission holds no model.py (but {', '.join(held[:MAX_LISTED])}); {advice}.")
    if len(found) > 1:
        listed = ", ".join(str(folder.relative_to(root)) for folder in found[:MAX_LISTED])
        raise DataError(f"The submission holds several model.py (in {listed}); give the folder of one of them.")
    _check_class(found[0] / "model.py")
    _check_links(found[0])
    return found[0]


def source(folder: Path) -> str:
    """All its Python code, as one text."""
    return "\n".join(path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*.py")))


def has_sessions(text: str) -> bool:
    """Is it written for the graphs of TensorFlow 1?"""
    return bool(GRAPH_CODE.search(text)) and "enable_eager_execution" not in text


def _check_class(path: Path) -> None:
    """What the challenge calls is there; of a class that inherits, it may be elsewhere."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        line = f"line {error.lineno}: {error.msg}" if error.lineno else error.msg
        raise DataError(f"model.py is not Python 3 code ({line}); fix it and upload it again.") from error
    except ValueError as error:
        raise DataError(f"model.py is not Python 3 code ({error}); fix it and upload it again.") from error
    if not _bound(tree.body) & {"Model", "*"}:
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        held = f", but it has {', '.join(classes[:MAX_LISTED])}" if classes else ""
        raise DataError(f"model.py must define the class Model, which the challenge calls{held}; add it.")
    models = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Model"]
    for node in filter(_inherits_nothing, models):
        if missing := [name for name in CALLED if name not in _bound(node.body)]:
            lacks = " and ".join(missing)
            raise DataError(f"The class Model in model.py has no {lacks}, which the challenge calls; add it.")


def _bound(statements: list[ast.stmt]) -> set[str]:
    """Names that they define or import, anywhere within."""
    found = set()
    for node in (inner for statement in statements for inner in ast.walk(statement)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def _inherits_nothing(node: ast.ClassDef) -> bool:
    bases = [base.id if isinstance(base, ast.Name) else "" for base in node.bases]
    return bases in ([], ["object"]) and not node.keywords and not node.decorator_list


def _check_links(folder: Path) -> None:
    """Links within the folder work in the isolated process, too; others would lead to files of this machine."""
    inside = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            name = path.relative_to(folder)
            raise DataError(f"{name} is a link that leads out of the submission; put the file itself in its place.")
