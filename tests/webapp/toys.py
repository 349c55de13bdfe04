"""Tiny data sets and runs on disk, as docs/formats.md says."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from automl_engine.dataset import writer
from automl_engine.dataset.spec import Spec
from automl_engine.run import events

LABELS = ["dark", "light"]
COUNTS = {"train": 12, "test": 6}
SCORES = [(0.5, 0.2), (2.0, 0.8), (6.0, 1.0)]  # (t in s, nauc)


def write_autodl(out: Path, modality: str = "image") -> dict[str, Any]:
    """A data set of two classes in ``out`` (images of 8x8 pixels or rows of two columns); returns its report."""
    spec = _spec(modality)
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        labels = [i % 2 for i in range(count)]
        examples = [(_steps(modality, label, random), [label]) for label in labels]
        first_id = 0 if split == "test" else COUNTS["test"]
        writer.write_split(out / "toy.data" / split, spec, examples, first_id, hide_labels=split == "test")
        _write_previews(out / "previews", split, modality, labels)
    writer.write_solution(out / "toy.solution", np.eye(2, dtype=int)[[i % 2 for i in range(COUNTS["test"])]])
    _dump(out / "recipe.json", {"version": 1, "modality": modality, "labels": LABELS, "multi_label": False})
    report = _report(modality, size_bytes=sum(p.stat().st_size for p in out.rglob("*.tfrecord")))
    _dump(out / "report.json", report)
    return report


def png(level: int = 128, size_px: int = 8) -> bytes:
    """One grey PNG."""
    file = io.BytesIO()
    Image.new("L", (size_px, size_px), level).save(file, "PNG")
    return file.getvalue()


def write_run(run_dir: Path, report: dict[str, Any], budget_s: int = 20, finished: bool = True) -> None:
    """Journal, scores and results of a run with three predictions."""
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "events.jsonl"
    about = {"dataset": "toy", "modality": report["modality"], "seed": 0, "device": "cpu", "model": "auto"}
    events.append(path, "started", t=0.0, budget_s=budget_s, t0_s=60, **about)
    events.append(path, "chosen", t=0.1, row="toy", reason="it is the only one")
    events.append(path, "progress", t=0.2, by="toy", text="learning from 12 examples", fraction=0.5)
    for k, (t, nauc) in enumerate(SCORES):
        events.append(path, "prediction", k=k, t=t, by="toy", reason="it looks better")
        scores = {"nauc": nauc, "accuracy": (1 + nauc) / 2, "soft_accuracy": nauc, "alc": nauc / 2}
        events.append(path, "score", k=k, t=t, by="toy", **scores)
    _dump(run_dir / "results.json", _results(report))
    if finished:
        events.append(path, "finished", alc=0.8, nauc=1.0, accuracy=1.0, reason="nothing left to learn", predictions=3)
        _dump(run_dir / "scores.json", _scores(budget_s))


def _spec(modality: str) -> Spec:
    labels = {name: i for i, name in enumerate(LABELS)}
    if modality == "image":
        shape: dict[str, Any] = {"row_count": 8, "col_count": 8, "num_channels": 1, "format": "COMPRESSED"}
    else:
        shape = {"col_count": 2, "feature_to_index": {"length": 0, "weight": 1}}
    return Spec(name="toy", sample_count=0, output_dim=2, label_to_index=labels, **shape)


def _steps(modality: str, label: int, random: np.random.Generator) -> list[bytes] | np.ndarray:
    if modality == "image":
        return [png(40 + 160 * label + int(random.integers(30)))]
    return (random.normal(size=(1, 1, 2, 1)) + 3 * label).astype(np.float32)


def _write_previews(folder: Path, split: str, modality: str, labels: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for i, label in enumerate(labels):
        preview: dict[str, Any] = {"index": i, "source": f"{LABELS[label]}/{split}{i}.png", "labels": [LABELS[label]]}
        if modality == "image":
            preview |= {"kind": "image", "file": f"{split}-{i}.png"}
            (folder / f"{split}-{i}.png").write_bytes(png(40 + 160 * label))
        else:
            preview |= {"kind": "row", "row": {"length": i, "weight": 3 * label}, "source": f"row {i + 1}"}
        lines.append(json.dumps(preview))
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def _report(modality: str, size_bytes: int) -> dict[str, Any]:
    half = {split: count // 2 for split, count in COUNTS.items()}
    column = {"missing": 0, "distinct": 12, "why": "all values are numbers", "top": []}
    histogram = {"edges": [0, 1, 2], "counts": [9, 9]}
    return {
        "version": 1,
        "name": "toy",
        "modality": modality,
        "title": "18 images in 2 classes, 8×8, grey" if modality == "image" else "18 rows of 2 columns in 2 classes",
        "why": ["all 18 files are PNG images"],
        "task": "single_label",
        "labels": [{"name": name, **half} for name in LABELS],
        "counts": {"samples": sum(COUNTS.values()), **COUNTS, "classes": 2},
        "size_bytes": size_bytes,
        "spec": {"sequence_size": 1, "row_count": 8, "col_count": 8, "num_channels": 1, "format": "COMPRESSED"},
        "split": {"how": "stratified", "test_size": 0.25, "seed": 0},
        "stats": [{"name": "width", "unit": "px", "min": 8, "median": 8, "max": 8}],
        "columns": []
        if modality == "image"
        else [
            {"name": name, "type": "number", "role": "feature", "histogram": histogram, **column}
            for name in ("length", "weight")
        ],
        "ignored": [{"path": "__MACOSX/x", "why": "made by macOS, not data"}],
        "ignored_count": 1,
        "unreadable": [],
        "duplicates": {"exact": 2, "across_split": 1, "examples": [["dark/a.png", "dark/b.png"]]},
        "doubts": [{"level": "warning", "what": "2 images are the same", "where": "dark", "fix": "remove one"}],
        "options": {
            "name": "toy",
            "target": None,
            "modality": modality,
            "test_size": 0.25,
            "seed": 0,
            "target_candidates": [],
            "modality_candidates": [modality],
        },
    }


def _results(report: dict[str, Any]) -> dict[str, Any]:
    n = COUNTS["test"]
    return {
        "k": 2,
        "task": "single_label",
        "n_test": n,
        "labels": LABELS,
        "nauc": 1.0,
        "soft_accuracy": 0.97,
        "accuracy": {"right": n - 1, "n": n, "share": (n - 1) / n, "low": 0.44, "high": 0.97},
        "confusion": [[3, 0], [1, 2]],
        "classes": [
            {"label": name, "n": 3, "nauc": 1.0, "precision": 0.9, "recall": 0.8, "recalls": [0.2, 0.8]}
            for name in LABELS
        ],
        "mistakes": [{"index": 1, "true": ["light"], "predicted": ["dark"], "confidence": 0.8}],
        "samples": [
            {"index": i, "true": [LABELS[i % 2]], "top": [[LABELS[i % 2], 0.9], [LABELS[1 - i % 2], 0.1]]}
            for i in range(n)
        ],
    }


def _scores(budget_s: int) -> dict[str, Any]:
    return {
        "alc": 0.8,
        "nauc": 1.0,
        "accuracy": 1.0,
        "soft_accuracy": 0.97,
        "first_prediction_s": 0.5,
        "budget_s": budget_s,
        "t0_s": 60,
        "stopped": "done",
        "reason": "nothing left to learn",
        "model": "auto",
        "device": "cpu",
        "versions": {"autodl-self-service": "0.1.0"},
        "predictions": [
            {"k": k, "t": t, "nauc": s, "accuracy": (1 + s) / 2, "by": "toy"} for k, (t, s) in enumerate(SCORES)
        ],
    }


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value))
