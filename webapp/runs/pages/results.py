"""``RUN/results.json`` prepared for the page: matrix, samples, classes and mistakes with their previews."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from webapp import engine
from webapp.access import EDIT, may
from webapp.csv_lines import csv_line
from webapp.datasets.models import Dataset
from webapp.datasets.report import previews
from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages.label_errors import probable_errors

HEAT_LEVELS = 9
SHOWN_MISTAKES = 12  # each fills the screen of a phone
GALLERY_SIZE = 200
MOST_MAPPED_CLASSES = 100
LEAST_SHARE = 1e-3  # smaller probabilities count as this one
COMPARED = 1000  # test samples that are searched for label errors whenever the page is shown


def load(run: Run) -> dict[str, Any] | None:
    return engine.read_json(run.dir / "results.json")


def fixing(run: Run, results: dict[str, Any], viewer: Any) -> dict[str, Any]:
    """Context of ``datasets/_fix_bar.html``: whether this viewer may change samples of the data set, and to what."""
    return {
        "fixable": may(viewer, run.dataset, EDIT) and run.dataset.state == Dataset.State.READY,
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
        "sentence": words.result_sentence(results, run.dataset.modality, run.dataset.target),
        "matrix": matrix(results),
        "classes": results["classes"],
        "with_samples": with_samples,
    }
    if with_samples:
        seen = previews(run.dataset, "test")
        shown["samples"] = [
            sample | {"preview": seen.get(sample["index"]), "ok": sample.get("right", _first_is_true(sample))}
            for sample in results["samples"]
        ]
        shown["can_map"] = results["task"] == "single_label" and 3 <= len(results["labels"]) <= MOST_MAPPED_CLASSES
        errors = [] if run.is_open else _label_errors(run, results)
        told = {error["index"] for error in errors}
        mistakes = [mistake for mistake in results["mistakes"] if mistake["index"] not in told]
        for name, found in (("label_errors", errors), ("mistakes", mistakes)):
            shown[name] = [one | {"preview": seen.get(one["index"])} for one in found[:SHOWN_MISTAKES]]
    return shown


def _first_is_true(sample: dict[str, Any]) -> bool:
    """What runs of earlier versions tell of a sample."""
    return not sample["top"] or sample["top"][0][0] in sample["true"]


def _label_errors(run: Run, results: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the first test samples."""
    if results["task"] != "single_label":
        return []
    given = {one["index"]: one["labels"] for one in previews(run.dataset, "test").first(COMPARED)}
    return probable_errors(results["labels"], islice(_predictions(run, results["k"]), len(given)), given)


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


def cell(run: Run, results: dict[str, Any], true: str, predicted: str) -> list[dict[str, Any]]:
    """Samples of one cell of the matrix among those that are listed, most confident first."""
    labels, seen = results["labels"], previews(run.dataset, "test")
    found: list[dict[str, Any]] = []
    for index, row in islice(_predictions(run, results["k"]), len(seen)):
        best = max(range(len(row)), key=row.__getitem__)
        if labels[best] == predicted and (preview := seen.read(index))["labels"] == [true]:
            found.append({"index": index, "preview": preview, "confidence": row[best] / (sum(row) or 1)})
    return sorted(found, key=lambda sample: -sample["confidence"])[:GALLERY_SIZE]


def sample_map(run: Run, results: dict[str, Any]) -> list[dict[str, Any]]:
    """The first test samples in the plane in which the predictions differ most: a PCA of their log-probabilities.

    Empty where a sample has several labels, and where there are few or very many classes.
    """
    labels = results["labels"]
    if results["task"] != "single_label" or not 3 <= len(labels) <= MOST_MAPPED_CLASSES:
        return []
    seen = previews(run.dataset, "test").first(COMPARED)
    rows = np.array([words.shares(row) for _, row in islice(_predictions(run, results["k"]), len(seen))])
    if len(rows) < len(seen) or len(rows) < 3:
        return []
    logs = np.log(np.clip(rows, LEAST_SHARE, None))
    left, sizes, _ = np.linalg.svd(logs - logs.mean(0), full_matrices=False)
    plane = left[:, :2] * sizes[:2]
    low, spread = plane.min(0), float(np.ptp(plane, axis=0).max()) or 1.0
    places = np.round(100 * (plane - low) / spread, 1)
    return [
        {"x": x, "y": y, "predicted": labels[best], "hue": 360 * labels.index(one["labels"][0]) // len(labels), **one}
        for one, (x, y), best in zip(seen, places.tolist(), rows.argmax(1), strict=True)
    ]


def predictions_csv(run: Run, results: dict[str, Any]) -> Iterator[str]:
    """Lines of a CSV: index, name where known, predicted label, a probability a label."""
    labels, seen = results["labels"], previews(run.dataset, "test")
    many = results["task"] == "multi_label"
    yield csv_line(["index", "name", "prediction", *labels])
    for index, row in _predictions(run, results["k"]):
        best = (
            [label for label, p in zip(labels, row, strict=True) if p >= 0.5] if many else [labels[row.index(max(row))]]
        )
        yield csv_line([index, (seen.get(index) or {}).get("source", ""), ";".join(best), *row])


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
