"""What another decision threshold than 50 % would do: for two classes, and for several labels at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from webapp.runs import words
from webapp.runs.models import Run
from webapp.runs.pages import results

STEPS = 50  # thresholds are 1/50, 2/50, ...
TABLE_STEPS = 5
"""The table without a script has every fifth threshold."""
MOST_LABELS = 30
MOST_NUMBERS = 1_000_000
ALL = "mean of all labels"
NAMES = ("accuracy", "precision", "recall", "F1")
"""Without the accuracy where there are several labels: that of yes-or-no answers is high whatever the model learned."""


def choices(run: Run, found: dict[str, Any] | None) -> list[dict[str, Any]]:
    """For each label that can be chosen: its scores by threshold; empty where there is no threshold to choose."""
    if found is None or run.is_open or not run.fits_data():
        return []
    has_several = found["task"] == "multi_label"
    solution = next(run.dataset.files("*.solution").glob("*.solution"), None)
    if solution is None or not (has_several or len(found["labels"]) == 2):
        return []
    return _choices(run.files(f"*.predict_{found['k']}"), found["k"], solution, has_several, tuple(found["labels"]))


@lru_cache(maxsize=32)
def _choices(run_dir: Path, k: int, solution: Path, has_several: bool, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    pairs = zip(results.rows_of(run_dir, k), results.numbers(solution), strict=False)
    counts = _counts(islice(pairs, max(1, MOST_NUMBERS // len(labels))), len(labels), has_several)
    frequent = sorted(range(len(labels)), key=lambda at: -sum(counts[at][1]))
    if not has_several:  # the rarer of two classes is what is looked for
        return [_choice(labels[at], [counts[at]], NAMES) for at in reversed(frequent)]
    known = [counts[at] for at in frequent if sum(counts[at][1])]
    return [
        _choice(ALL, known, NAMES[1:]),
        *(_choice(labels[at], [counts[at]], NAMES[1:]) for at in frequent[:MOST_LABELS]),
    ]


def _counts(
    pairs: Iterable[tuple[list[float], list[float]]], class_count: int, has_several: bool
) -> list[tuple[list[int], list[int]]]:
    """Of each label: how many items without and with it have a probability in each step."""
    counts = [([0] * (STEPS + 1), [0] * (STEPS + 1)) for _ in range(class_count)]
    for row, truth in pairs:
        for at, p in enumerate(words.probabilities(row) if has_several else words.shares(row)):
            counts[at][truth[at] == 1][min(STEPS, int(p * STEPS + 1e-9))] += 1
    return counts


def _choice(label: str, counts: list[tuple[list[int], list[int]]], names: Sequence[str]) -> dict[str, Any]:
    points = [_means([_scores(one, step)[-len(names) :] for one in counts]) for step in range(1, STEPS)]
    at_half = points[STEPS // 2 - 1]
    table = [{"threshold": step / STEPS, "scores": points[step - 1]} for step in range(TABLE_STEPS, STEPS, TABLE_STEPS)]
    rounded = [[None if score is None else round(score, 4) for score in point] for point in points]
    return {
        "label": label,
        "points": json.dumps(rounded),
        "names": names,
        "at_half": list(zip(names, at_half, strict=True)),
        "table": table,
    }


def _means(scores: list[list[float | None]]) -> list[float | None]:
    """Over the labels, as the F1 of the whole page."""
    columns = [[score for score in column if score is not None] for column in zip(*scores, strict=True)]
    return [fmean(known) if known else None for known in columns]


def _scores(counts: tuple[list[int], list[int]], step: int) -> list[float | None]:
    """Accuracy, precision, recall and F1 of a label where this step and those above count as yes."""
    without, having = counts
    false_yes, right_yes = sum(without[step:]), sum(having[step:])
    right_no, false_no = sum(without[:step]), sum(having[:step])
    total, size = right_yes + right_no + false_yes + false_no, 2 * right_yes + false_yes + false_no
    return [
        (right_yes + right_no) / total if total else None,
        right_yes / (right_yes + false_yes) if right_yes + false_yes else None,
        right_yes / (right_yes + false_no) if right_yes + false_no else None,
        2 * right_yes / size if size else None,
    ]
