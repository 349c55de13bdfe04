"""What selectors of vectors share: features in comparable units, and scores without holes in units of one's choice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import rankdata

STRANGE = 5.0
"""Deviations from the known data sets' mean: a feature farther out counts as that far."""


class Scale:
    """Features in deviations of the known data sets; what never varies or is not known of a set counts as the mean."""

    def __init__(self, known: np.ndarray) -> None:
        """(D, F)."""
        told = ~np.isnan(known)
        count = np.maximum(told.sum(0), 1)
        self.mean = np.where(told, known, 0).sum(0) / count
        deviation = np.sqrt((np.where(told, known - self.mean, 0) ** 2).sum(0) / count)
        self.unit = np.where(deviation > 1e-9 * (1 + np.abs(self.mean)), deviation, np.inf)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(..., F) -> (..., F)."""
        return np.clip(np.nan_to_num((features - self.mean) / self.unit), -STRANGE, STRANGE)


UNSCALED = Scale(np.zeros((0, 0)))
"""The scale of a selector that knows no data set yet."""


def filled(scores: np.ndarray) -> np.ndarray:
    """(D, C): NaN becomes what set and row let expect (mean of the set + what the row has above the sets' means).

    It is no more than the best that was measured on the set: where all rows are near 1, so much above the others is not
    to be had.  A row that was never run counts as the worst of each set.
    """
    told = ~np.isnan(scores)
    level = np.where(told, scores, 0).sum(1, keepdims=True) / np.maximum(told.sum(1, keepdims=True), 1)
    above = np.where(told, scores - level, 0).sum(0) / np.maximum(told.sum(0), 1)
    above = np.where(told.any(0), above, np.where(told, scores - level, 0).min())
    best = np.where(told.any(1), np.where(told, scores, -np.inf).max(1), np.inf)
    return np.where(told, scores, np.minimum(level + above, best[:, None]))


def deviations(scores: np.ndarray) -> np.ndarray:
    """From the mean of each data set, in units of its spread: every set counts the same."""
    centred = scores - scores.mean(1, keepdims=True)
    return centred / np.maximum(centred.std(1, keepdims=True), 1e-9)


def ranks(scores: np.ndarray) -> np.ndarray:
    """Within each data set; the best is -1, and equal ones share their mean."""
    return -rankdata(-scores, axis=1)


TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "alc": lambda scores: scores - scores.mean(1, keepdims=True),
    "deviation": deviations,
    "rank": ranks,
}
"""(D, C) ALC without NaN -> (D, C), higher is better: differences of ALC, or such that all sets weigh the same."""


def best_first(expected: np.ndarray) -> np.ndarray:
    """(C,) -> (C,) order; of equal ones the first."""
    return np.argsort(-expected, kind="stable")
