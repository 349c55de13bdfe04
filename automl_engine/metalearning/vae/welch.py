"""Welch's two-sample t-test between batches of latent vectors: how surely two means differ, variances unequal; and the
like for their deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def deviation_statistic(a: Moments, b: Moments) -> np.ndarray:
    """(L,) difference of the logarithms of the deviations by its error, as of normal samples; 0 of single ones."""
    if min(a.count, b.count) < 2:
        return np.zeros(len(a.mean))
    error = np.sqrt(0.5 / (a.count - 1) + 0.5 / (b.count - 1))
    return 0.5 * np.log((a.variance + TINY) / (b.variance + TINY)) / error


def distances(new: Moments, known: Sequence[Moments], deviations: bool = True) -> np.ndarray:
    """(D,) how far a batch is from each known one: mean absolute statistic over the dimensions, of the means and,
    as the paper measures both, of the deviations.

    All known batches count as the largest: of a small one means are less sure, so that it would differ from nothing.
    """
    largest = max(one.count for one in known)
    alike = [replace(one, count=largest) for one in known]
    apart = np.array([np.abs(statistic(new, one)).mean() for one in alike])
    if deviations:
        apart += [np.abs(deviation_statistic(new, one)).mean() for one in alike]
    return apart
