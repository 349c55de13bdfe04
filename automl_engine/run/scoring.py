"""How good a prediction is: accuracy, ranks, and ``results.json``; the NAUC is in ``dataset/metrics.py``.

``soft_accuracy`` gives the number of the challenge's scoring program (v20191219), but infinite scores take the whole
mass of their row (there: NaN).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from automl_engine.dataset.metrics import check_prediction, class_naucs, mean_nauc

MISSING_ALC = -0.999999
"""Score of a data set without a result, as in the challenge."""
MAX_CONFUSION_CLASSES, MAX_MISTAKES, SHOWN_SAMPLES, SHOWN_LABELS = 50, 200, 16, 3


def read_matrix(path: Path) -> np.ndarray:
    """(N, K) of a ``.solution`` or ``.predict_k`` file.

    Raises:
        ValueError: a row is ragged or no number.
    """
    return np.loadtxt(path, ndmin=2)


def is_single_label(solution: np.ndarray) -> bool:
    """Exactly one class in every row: the challenge's rule, decided from the solution."""
    return bool(np.allclose(np.abs(solution).sum(1), 1) and np.allclose(solution.max(1), 1))


def _ranks(values: np.ndarray) -> np.ndarray:
    """1-based ranks in ascending order, ties averaged."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def soft_accuracy(solution: np.ndarray, prediction: np.ndarray) -> float:
    """The challenge's "accuracy": the mean share of a row's mass that lies on its true classes."""
    check_prediction(prediction, solution.shape)
    finite = np.nan_to_num(prediction, posinf=1e30, neginf=-1e30)
    mass = finite / (np.abs(finite).sum(1, keepdims=True) + 1e-15)
    return float((solution * mass).sum() / len(solution))


def accuracy(solution: np.ndarray, prediction: np.ndarray) -> float:
    """The share of rows whose highest score is on the true class (single-label tasks only)."""
    check_prediction(prediction, solution.shape)
    return float((solution.argmax(1) == prediction.argmax(1)).mean())


def average_rank(scores: np.ndarray) -> np.ndarray:
    """(C,) mean rank of each of C competitors over D data sets, 1 is best, ties averaged.

    Args:
        scores: (D, C), higher is better; NaN = no result, counted as in the challenge.
    """
    filled = np.where(np.isnan(scores), MISSING_ALC, scores)
    return np.stack([_ranks(-row) for row in filled]).mean(0)


def wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, JASA 22)."""
    share, spread = right / n, z * math.sqrt(right * (n - right) / n**3 + z * z / (4 * n * n))
    middle, scale = share + z * z / (2 * n), 1 + z * z / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def explain(solution: np.ndarray, prediction: np.ndarray, labels: Sequence[str], k: int) -> dict[str, Any]:
    """``results.json`` (docs/formats.md) of prediction k."""
    single = is_single_label(solution)
    share = _probabilities(prediction, single)
    decided = np.eye(len(labels))[prediction.argmax(1)] == 1 if single else share > 0.5
    truth = solution == 1
    hits = (decided & truth).any(1) if single else decided == truth
    right, n = int(hits.sum()), int(hits.size)
    low, high = wilson(right, n)
    naucs = class_naucs(solution, prediction)
    return {
        "k": k,
        "task": "single_label" if single else "multi_label",
        "n_test": len(solution),
        "labels": list(labels),
        "nauc": mean_nauc(naucs),
        "soft_accuracy": soft_accuracy(solution, prediction),
        "accuracy": {"right": right, "n": n, "share": right / n, "low": low, "high": high},
        "confusion": _confusion(truth, decided) if single and len(labels) <= MAX_CONFUSION_CLASSES else None,
        "classes": _classes(truth, decided, naucs, labels),
        "mistakes": _mistakes(truth, decided, share, labels),
        "samples": _samples(truth, decided, share, labels),
    }


def _probabilities(prediction: np.ndarray, single: bool) -> np.ndarray:
    """(N, K) in [0, 1], in rows of sum 1 for single-label tasks; other scores go through softmax or sigmoid."""
    if single:
        finite = np.nan_to_num(prediction, posinf=1e30, neginf=-1e30)
        positive = np.exp(finite - finite.max(1, keepdims=True)) if finite.min() < 0 else finite + 1e-15
        return positive / positive.sum(1, keepdims=True)
    if prediction.min() < 0 or prediction.max() > 1:
        return (np.tanh(prediction / 2) + 1) / 2
    return prediction


def _confusion(truth: np.ndarray, decided: np.ndarray) -> list[list[int]]:
    counts = np.zeros((truth.shape[1],) * 2, int)
    np.add.at(counts, (truth.argmax(1), decided.argmax(1)), 1)
    return counts.tolist()


def _classes(truth: np.ndarray, decided: np.ndarray, naucs: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    hits, n, told = (truth & decided).sum(0), truth.sum(0), decided.sum(0)
    return [
        {
            "label": label,
            "n": int(n[c]),
            "nauc": None if np.isnan(naucs[c]) else float(naucs[c]),
            "precision": float(hits[c] / told[c]) if told[c] else None,
            "recall": float(hits[c] / n[c]) if n[c] else None,
        }
        for c, label in enumerate(labels)
    ]


def _mistakes(truth: np.ndarray, decided: np.ndarray, share: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Most confident first; the confidence of a row is that of its surest wrong decision."""
    sureness = np.where(decided, share, 1 - share) * (decided != truth)
    if is_single_label(truth):  # what speaks is the class that was told, not the one that was missed
        sureness = sureness * decided
    confidence = sureness.max(1)
    wrong = np.flatnonzero((decided != truth).any(1))
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES]
    return [
        {
            "index": int(i),
            "true": _names(truth[i], labels),
            "predicted": _names(decided[i], labels),
            "confidence": float(confidence[i]),
        }
        for i in order
    ]


def _samples(truth: np.ndarray, decided: np.ndarray, share: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The same rows at every prediction, so that a page can show how the answers change."""
    rows = np.unique(np.linspace(0, len(share) - 1, SHOWN_SAMPLES).astype(int)).tolist()
    best = np.argsort(-share[rows], axis=1, kind="stable")[:, :SHOWN_LABELS].tolist()
    return [
        {
            "index": i,
            "true": _names(truth[i], labels),
            "right": bool((decided[i] == truth[i]).all()),
            "top": [[labels[c], float(share[i, c])] for c in order],
        }
        for i, order in zip(rows, best, strict=True)
    ]


def _names(flags: np.ndarray, labels: Sequence[str]) -> list[str]:
    return [labels[c] for c in np.flatnonzero(flags).tolist()]
