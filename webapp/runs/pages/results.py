"""``RUN/results.json`` prepared for the page: matrix, samples, classes and mistakes with their previews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from webapp import engine
from webapp.access import owns
from webapp.csv_lines import csv_line
from webapp.datasets.models import Dataset
from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages.label_errors import probable_errors

HEAT_LEVELS = 9
SHOWN_MISTAKES = 12  # each fills the screen of a phone
GALLERY_SIZE = 200


def load(run: Run) -> dict[str, Any] | None:
    return engine.read_json(run.dir / "results.json")


def fixing(run: Run, results: dict[str, Any], viewer: Any) -> dict[str, Any]:
    """Context of ``datasets/_fix_bar.html``: whether this viewer may change samples of the data set, and to what."""
    return {
        "fixable": owns(viewer, run.dataset) and run.dataset.state == Dataset.State.READY,
        "fix_labels": results["labels"],
        "several": results["task"] == "multi_label",
    }


def explained(run: Run, results: dict[str, Any] | None, with_samples: bool) -> dict[str, Any]:
    """Context of ``runs/_results.html``.

    Args:
        with_samples: whether this viewer may see the data set itself.
    """
    if not results:
        return {}
    shown: dict[str, Any] = {
        "results": results,
        "noun": words.noun(run.dataset.modality),
        "accuracy": words.accuracy_of(results),
        "f1": words.f1_of(results),
        "majority_accuracy": run.dataset.majority_accuracy,
        "sentence": words.result_sentence(results, run.dataset.modality),
        "matrix": matrix(results),
        "classes": results["classes"],
        "with_samples": with_samples,
    }
    if with_samples:
        seen = previews(run.dataset)
        shown["samples"] = [
            sample
            | {"preview": seen.get(sample["index"]), "ok": not sample["top"] or sample["top"][0][0] in sample["true"]}
            for sample in results["samples"]
        ]
        errors = [] if run.is_open else _label_errors(run, results)
        told = {error["index"] for error in errors}
        mistakes = [mistake for mistake in results["mistakes"] if mistake["index"] not in told]
        for name, found in (("label_errors", errors), ("mistakes", mistakes)):
            shown[name] = [one | {"preview": seen.get(one["index"])} for one in found[:SHOWN_MISTAKES]]
    return shown


def _label_errors(run: Run, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the test samples with a preview."""
    if results["task"] != "single_label":
        return []
    given = {index: preview["labels"] for index, preview in previews(run.dataset).items()}
    first = takewhile(lambda row: row[0] in given, _predictions(run, results["k"]))
    return probable_errors(results["labels"], first, given)


def matrix(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the confusion matrix: label and cells with count, heat (0 to ``HEAT_LEVELS``) and whether right."""
    rows = []
    for i, counts in enumerate(results["confusion"] or []):
        total = sum(counts) or 1
        cells = [
            {
                "predicted": results["labels"][j],
                "n": n,
                "heat": min(HEAT_LEVELS, 1 + int(HEAT_LEVELS * n / total)) if n else 0,
                "right": i == j,
            }
            for j, n in enumerate(counts)
        ]
        rows.append({"label": results["labels"][i], "cells": cells})
    return rows


def previews(dataset: Dataset) -> dict[int, dict[str, Any]]:
    """Previews of the first test samples by index."""
    path = dataset.files("previews/test.jsonl") / "previews" / "test.jsonl"
    try:
        return _previews(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=32)
def _previews(path: Path, _mtime_ns: int) -> dict[int, dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        found = (json.loads(line) for line in file)
        return {preview["index"]: preview for preview in found}


def cell(run: Run, results: dict[str, Any], true: str, predicted: str) -> list[dict[str, Any]]:
    """Samples of one cell of the matrix among those with a preview, most confident first."""
    labels = results["labels"]
    found: list[dict[str, Any]] = []
    for index, row in _predictions(run, results["k"]):
        preview = previews(run.dataset).get(index)
        if preview is None or preview["labels"] != [true]:
            continue
        best = max(range(len(row)), key=row.__getitem__)
        if labels[best] == predicted:
            found.append({"index": index, "preview": preview, "confidence": row[best] / (sum(row) or 1)})
    return sorted(found, key=lambda sample: -sample["confidence"])[:GALLERY_SIZE]


def predictions_csv(run: Run, results: dict[str, Any]) -> Iterator[str]:
    """Lines of a CSV: index, name where known, predicted label, a probability a label."""
    labels, seen = results["labels"], previews(run.dataset)
    many = results["task"] == "multi_label"
    yield csv_line(["index", "name", "prediction", *labels])
    for index, row in _predictions(run, results["k"]):
        best = (
            [label for label, p in zip(labels, row, strict=True) if p >= 0.5] if many else [labels[row.index(max(row))]]
        )
        yield csv_line([index, seen.get(index, {}).get("source", ""), ";".join(best), *row])


def points_csv(points: list[dict[str, Any]]) -> str:
    """The learning curve as CSV."""
    columns = ("k", "t", "nauc", "accuracy", "alc", "by")
    return "".join(csv_line(row) for row in [columns, *([point[c] for c in columns] for point in points)])


def _predictions(run: Run, k: int) -> Iterator[tuple[int, list[float]]]:
    return enumerate(rows_of(run.files(f"*.predict_{k}"), k))


def rows_of(run_dir: Path, k: int) -> Iterator[list[float]]:
    """Rows of ``NAME.predict_k``, as in the challenge: one line a test sample, space-separated."""
    path = next(run_dir.glob(f"*.predict_{k}"), None)
    return numbers(path) if path else iter(())


def numbers(path: Path) -> Iterator[list[float]]:
    """Rows of a prediction or of a solution."""
    with open(path, encoding="ascii") as file:
        for line in file:
            yield [float(value) for value in line.split()]
