"""A submission as people have it: a folder with ``model.py``, a folder around it, or the whole starting kit."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from automl_engine.errors import DataError

KIT = "AutoDL_sample_code_submission"
"""Where the challenge's starting kit keeps the code that is submitted."""
MAX_LISTED = 5
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
        held = ", ".join(sorted(entry.name for entry in root.iterdir())[:MAX_LISTED])
        raise DataError(f"The submission holds no model.py (but {held}); add it with its class Model(metadata).")
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
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise DataError(f"model.py is not Python 3 code ({error}); fix it and upload it again.") from error
    made = {getattr(node, "name", "") for node in tree.body}
    made |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    if not made & {"Model", "*"}:
        raise DataError("model.py must define the class Model, which the challenge calls; add it.")


def _check_links(folder: Path) -> None:
    """Links within the folder work in the isolated process, too; others would lead to files of this machine."""
    inside = folder.resolve()
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            name = path.relative_to(folder)
            raise DataError(f"{name} is a link that leads out of the submission; put the file itself in its place.")
