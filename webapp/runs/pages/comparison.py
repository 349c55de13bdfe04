"""Runs beside each other: settings, scores, and how much better one is than the other on the same test items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages import results

MOST_NUMBERS = 1_000_000
"""Of a prediction file: as many test items are compared as these are of, so that the page does not wait."""
Z_95 = 1.959964


def lines(run: Run, others: Sequence[Run], viewer: Any) -> list[dict[str, Any]]:
    """This run, then the others, each with its F1 where there are several labels, and its difference to this one; empty
    if there are no others.
    """
    if not others:
        return []
    differences = ["", *(difference(run, other, viewer) for other in others)]
    f1s = [words.f1_of(results.load(one)) if one.opens_to(viewer) else None for one in (run, *others)]
    told = zip((run, *others), f1s, differences, strict=True)
    return [{"run": one, "f1": f1["share"] if f1 else "", "difference": d} for one, f1, d in told]


def difference(run: Run, other: Run, viewer: Any) -> str:
    """A sentence: how much better ``other`` is, or why that cannot be told."""
    if run.dataset_id != other.dataset_id:
        return "Not comparable item by item: the versions of the data set have different test sets."
    if run.is_open or other.is_open:
        return "Told when both runs have ended."
    if not (run.opens_to(viewer) and other.opens_to(viewer)):
        return "The predictions are private."
    if not (run.fits_data() and other.fits_data()):
        return "Not comparable item by item: one run is imported, and its test set was another."
    found, theirs = results.load(run), results.load(other)
    if not found or not theirs:
        return "One of the runs has no prediction."
    here, there = _item_scores(run, found), _item_scores(other, theirs)
    if not here or len(here) != len(there):
        return "The predictions of one of the runs are missing."
    metric = "F1 per sample" if found["task"] == "multi_label" else "accuracy"
    return _sentence([b - a for a, b in zip(here, there, strict=True)], metric, found["n_test"])


def _sentence(gains: list[float], metric: str, n_test: int) -> str:
    """The mean gain of an item and its interval by the normal approximation."""
    which = f"{len(gains):,} test items" if len(gains) == n_test else f"the first {len(gains):,} test items"
    if not any(gains):
        return f"The same {metric} on each of {which}."
    if len(gains) == 1:
        return "One test item is too few to compare."
    mean, margin = fmean(gains), Z_95 * stdev(gains) / math.sqrt(len(gains))
    points = f"{100 * mean:+.1f} points of {metric} (95\N{NO-BREAK SPACE}% confidence interval: "
    interval = f"{100 * (mean - margin):+.1f} to {100 * (mean + margin):+.1f}), on {which}"
    verdict = "" if abs(mean) > margin else "; this may be chance"
    return f"{points}{interval}{verdict}.".replace("-", "\N{MINUS SIGN}")


def _item_scores(run: Run, found: dict[str, Any]) -> list[float]:
    """Of each test item: 1 if it is right, else 0; with several labels its F1."""
    solution = next(run.dataset.files("*.solution").glob("*.solution"), None)
    if solution is None:
        return []
    folder = run.files(f"*.predict_{found['k']}")
    return _scored(folder, found["k"], solution, found["task"] == "multi_label", len(found["labels"]))


@lru_cache(maxsize=32)
def _scored(run_dir: Path, k: int, solution: Path, has_several: bool, class_count: int) -> list[float]:
    scored = []
    pairs = zip(results.rows_of(run_dir, k), results.numbers(solution), strict=False)
    for row, truth in islice(pairs, max(1, MOST_NUMBERS // class_count)):
        if not has_several:
            scored.append(float(truth[row.index(max(row))] == 1))
            continue
        decided = [p > 0.5 for p in words.probabilities(row)]
        hits = sum(own and answer == 1 for own, answer in zip(decided, truth, strict=True))
        size = sum(decided) + sum(answer == 1 for answer in truth)
        scored.append(2 * hits / size if size else 1.0)
    return scored
