"""The recipe: how new raw data is formatted as the training data was.

``recipe.json`` lies beside every data set and in every exported model; this module needs no more than the modality's
own decoder.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from automl_engine.dataset.spec import Spec
from automl_engine.errors import DataError
from formatters import FORMATTERS
from formatters.base import NewData
from formatters.native import formatter as native
from formatters.unpacking.archive import unpack

VERSION = 1


def make(modality: str, labels: list[str], multi_label: bool, spec: Spec, details: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a data set; ``details`` are those of its formatter."""
    return {
        "version": VERSION,
        "modality": modality,
        "labels": labels,
        "multi_label": multi_label,
        "spec": {**asdict(spec), "sample_count": 0},
        **details,
    }


def load(path: Path) -> dict[str, Any]:
    """Read ``recipe.json``.

    Raises:
        DataError: it is missing, damaged or of a newer version.
    """
    try:
        recipe = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read ({error}); get the data set or model again.") from error
    if not isinstance(recipe, dict) or recipe.get("version") != VERSION or recipe.get("modality") not in FORMATTERS:
        raise DataError(f"{path.name} is no recipe of version {VERSION}; use the program version that wrote it.")
    return recipe


def encode(recipe: dict[str, Any], source: Path) -> NewData:
    """New raw data: a file, a folder, a zip, or a CSV of rows.

    Raises:
        DataError: nothing of it can be read.
    """
    formatter = import_module(FORMATTERS[recipe["modality"]])
    with tempfile.TemporaryDirectory() as work:
        root = unpack(source, Path(work, "new")).root
        if native.split_folder(root):
            return native.encode(recipe, root)
        files = [path for path in root.rglob("*") if path.is_file()]
        new: NewData = formatter.encode(recipe, files[0] if len(files) == 1 else root)
    if not new.names:
        raise DataError(f"{source.name} holds nothing to predict; give at least one file, or a table with one row.")
    if all(content is None for content in new.contents):
        several = f"nothing of {source.name} can be read; the first of {len(new.names):,}: "
        raise DataError((several if len(new.names) > 1 else "") + new.problems[0])
    return new
