"""Test samples whose label is probably wrong.

Confident learning (Northcutt, Jiang, Chuang: Estimating Uncertainty in Dataset Labels, JAIR 2021) on predictions of the
test set, from which nothing was learned: a sample belongs to another class if that is predicted with at least the
confidence that it has on average for the samples labelled so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def probable_errors(
    labels: list[str], predictions: Iterable[tuple[int, list[float]]], given: dict[int, list[str]]
) -> list[dict[str, Any]]:
    """Samples as ``{"index", "true", "predicted", "confidence"}``, the surest error first.

    Args:
        predictions: (index, a score for each of ``labels``).
        given: the one label of a sample, by its index; other samples are left out.
    """
    place = {label: at for at, label in enumerate(labels)}
    rows: list[tuple[int, int, list[float]]] = []
    for index, scores in predictions:
        own = given.get(index, [])
        if len(own) == 1 and own[0] in place:
            total = sum(scores) or 1.0
            rows.append((index, place[own[0]], [score / total for score in scores]))
    usual = _mean_confidence(rows, len(labels))
    found = []
    for index, own_at, shares in rows:
        sure = [at for at, share in enumerate(shares) if share >= usual[at]]
        best = max(sure, key=shares.__getitem__, default=own_at)
        if best != own_at and shares[best] > shares[own_at]:
            found.append((shares[own_at] - shares[best], index, own_at, best, shares[best]))
    return [
        {"index": index, "true": [labels[own]], "predicted": [labels[best]], "confidence": share}
        for _, index, own, best, share in sorted(found)
    ]


def _mean_confidence(rows: list[tuple[int, int, list[float]]], count: int) -> list[float]:
    """Of each class: its mean share in the predictions of the samples labelled so; 2 where there are none."""
    sums, counts = [0.0] * count, [0] * count
    for _, own, shares in rows:
        sums[own] += shares[own]
        counts[own] += 1
    return [total / n if n else 2.0 for total, n in zip(sums, counts, strict=True)]
