"""NAUC as in the challenge's scoring program (v20191219), and the comparison of scores that it rests on.

Where that program is ill-defined we define:

- every class constant in the solution: it raises, we return 0 with a warning;
- NaN: it ranks NaN by position, we raise ValueError (the ingestion loop replaces NaN before a prediction is written);
- infinite scores rank as usual.

The ensemble asks for it thousands of times, so it doesn't go through scikit-learn's ROC curve, which is much slower.
"""

from __future__ import annotations

import math
import warnings

import numpy as np


def check_prediction(prediction: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the prediction can be scored."""
    if prediction.shape != shape:
        raise ValueError(f"a prediction must have the shape {shape} but got {prediction.shape}")
    if np.isnan(prediction).any():
        raise ValueError(f"a prediction must not hold NaN but got {int(np.isnan(prediction).sum())}")


def nauc(solution: np.ndarray, prediction: np.ndarray) -> float:
    """The mean over the classes that are not constant; in [-1, 1], 0 is guessing."""
    return mean_nauc(class_naucs(solution, prediction))


def class_naucs(solution: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """(K,) 2 AUC - 1 of each class; NaN where all test rows have the class or none has."""
    check_prediction(prediction, solution.shape)
    columns = zip(np.ascontiguousarray(solution.T), np.ascontiguousarray(prediction.T), strict=True)
    return np.array([_column_nauc(truth, scores) for truth, scores in columns])


def mean_nauc(naucs: np.ndarray) -> float:
    """The mean of ``class_naucs`` without those that are NaN."""
    if np.isnan(naucs).all():
        warnings.warn("every class is constant in the solution, so the NAUC is set to 0", stacklevel=2)
        return 0.0
    return float(np.nanmean(naucs))


def wins(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) how many of the others each score exceeds; ties count half."""
    ordered = np.sort(others)
    below, upto = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + upto) / 2


def _column_nauc(truth: np.ndarray, scores: np.ndarray) -> float:
    """By the Mann-Whitney statistic."""
    total, count = float(truth.sum()), len(truth)
    if abs(total) <= 1e-8 or abs(total - count) <= 1e-8 + 1e-5 * count:  # np.isclose takes as long as all the rest
        return math.nan
    positive, negative = scores[truth == 1], scores[truth < 1]
    return 2 * wins(positive, negative).sum() / (len(positive) * len(negative)) - 1
