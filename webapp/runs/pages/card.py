"""The contents of ``model.zip`` and its verification, read from the zip itself."""

from __future__ import annotations

import csv
import json
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from webapp import engine
from webapp.runs.models import Prediction, Run

SHOWN_ROWS = 50
SHOWN_LABELS = 5
FOLDERS = {
    "model": "the model itself, as ONNX, LightGBM text or arrays",
    "lib": "the code that reads your data, the same as on this site",
    "sample": "test samples to try it with",
}
FILES = {
    "predict.py": "predicts new data",
    "README.md": "the model card: data, scores, limits",
    "card.json": "the model card as JSON, with the learning curve",
    "requirements.txt": "required Python packages",
    "labels.txt": "the classes, in order",
    "recipe.json": "the steps that prepare raw data",
    "verify.json": "comparison of its predictions with those of this site",
}


def model_card(run: Run) -> dict[str, Any] | None:
    """``{"size_bytes", "contents": [{"name", "what", "size_bytes"}], "verified"}``; None while there is no zip."""
    path = run.model_path
    try:
        return _card(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=64)
def _card(path: Path, _mtime_ns: int) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        sizes: dict[str, int] = {}
        for entry in archive.infolist():
            top = entry.filename.split("/")[0]
            name = f"{top}/" if top in FOLDERS else entry.filename
            sizes[name] = sizes.get(name, 0) + entry.file_size
        verified = json.loads(archive.read("verify.json")) if "verify.json" in sizes else None
    contents = [
        {"name": name, "what": FILES.get(name) or FOLDERS.get(name.rstrip("/"), ""), "size_bytes": size}
        for name, size in sizes.items()
    ]
    return {"size_bytes": path.stat().st_size, "contents": contents, "verified": verified}


def answers(prediction: Prediction) -> dict[str, Any]:
    """The first rows of ``predictions.csv`` with their likeliest labels, the number of rows, and the notes on them."""
    rows: list[dict[str, Any]] = []
    count = 0
    with open(prediction.output_path, newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        _, _, *labels = next(lines)
        if len(labels) > prediction.run.dataset.class_count:
            labels.pop()  # the last column tells problems
        for name, predicted, *cells in lines:
            count += 1
            if len(rows) < SHOWN_ROWS:
                values = [(label, float(cell)) for label, cell in zip(labels, cells, strict=False) if cell]
                likely = sorted(values, key=lambda pair: -pair[1])
                problem = cells[len(labels)] if len(cells) > len(labels) else ""
                row = {"name": name, "prediction": predicted, "top": likely[:SHOWN_LABELS], "problem": problem}
                rows.append(row)
    return {"rows": rows, "count": count, "notes": engine.read_json(prediction.dir / "notes.json") or []}
