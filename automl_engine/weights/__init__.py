"""Small pretrained weights that ship with the engine: NAME.safetensors (half precision or less) and its card NAME.json.

``python -m automl_engine pretrain`` makes both.  Nothing but formulas went into them, and into the word vectors
statistics of freely licensed text, so their licence is ours to give.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def card(file: Path) -> dict[str, Any]:
    """What lies beside a file of weights: formula, steps, device, date, probe scores, licence; empty without a card."""
    path = file.with_suffix(".json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
