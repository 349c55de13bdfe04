"""Welch's two-sample t-test between batches of latent vectors: how surely two means differ, variances unequal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TINY = 1e-9


@dataclass(frozen=True)
class Moments:
    """What the test needs of a batch."""

    mean: np.ndarray
    """(L,)"""
    variance: np.ndarray
    """(L,) unbiased; NaN of a single sample."""
    count: int


def moments(batch: np.ndarray) -> Moments:
    """Of (n, L) samples; one that is there several times (small sets repeat theirs) counts once."""
    different = np.unique(batch.astype(np.float64), axis=0)
    count = len(different)
    variance = different.var(0, ddof=1) if count > 1 else np.full(batch.shape[1], np.nan)
    return Moments(different.mean(0), variance, count)


def statistic(a: Moments, b: Moments) -> np.ndarray:
    """(L,) t of each dimension (Welch, Biometrika 1947); a single sample borrows the other batch's variance.

    Two single samples differ by their distance alone.
    """
    of_a = np.where(np.isnan(a.variance), b.variance, a.variance)
    of_b = np.where(np.isnan(b.variance), a.variance, b.variance)
    squared_error = np.nan_to_num(of_a / a.count + of_b / b.count, nan=1.0)
    return (a.mean - b.mean) / np.sqrt(squared_error + TINY)


def distances(new: Moments, known: Iterable[Moments]) -> np.ndarray:
    """(D,) mean absolute t over the dimensions."""
    return np.array([np.abs(statistic(new, one)).mean() for one in known])
