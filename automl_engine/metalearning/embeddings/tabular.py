"""Tables by their columns: a sample is a column, seen through some rows; the classical meta-features are its moments.

As the statistics of Brazdil et al., "Metalearning: applications to data mining", 2008, section 2.3.1.
"""

from __future__ import annotations

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.tabular import MAX_CATEGORIES, tabular_values

MOST_COLUMNS = 64
NAMES = (
    *("missing", "log_distinct", "category", "binary", "whole", "zeros"),
    *("skewness", "kurtosis", "outliers", "evenness", "correlation", "class_linear", "class_order"),
)


def embed(examples: Examples) -> np.ndarray:
    """(n, E) float32, a line a column; of a wide table as many columns as there are spread evenly over it."""
    values = tabular_values(examples).astype(np.float64)
    picks = np.linspace(0, values.shape[1] - 1, min(values.shape[1], MOST_COLUMNS)).astype(int)
    values = values[:, picks]
    missing = np.isnan(values)
    centre = np.nan_to_num(np.nanmedian(np.where(missing.all(0), 0, values), axis=0))
    filled = np.where(missing, centre, values)
    ranks = filled.argsort(0, kind="stable").argsort(0, kind="stable") / max(1, len(filled) - 1)
    columns = np.stack([_column(column[~gaps]) for column, gaps in zip(filled.T, missing.T, strict=True)])
    labels = examples.labels.astype(np.float64)
    together = np.abs(_correlations(_standard(filled), _standard(filled))).mean(1)
    linear = np.abs(_correlations(_standard(filled), _standard(labels))).max(1)
    order = np.abs(_correlations(_standard(ranks), _standard(labels))).max(1)
    parts = [missing.mean(0)[:, None], columns, np.stack([together, linear, order], axis=1)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _column(known: np.ndarray) -> np.ndarray:
    """(N,) -> (9,), from ``log_distinct`` to ``evenness``."""
    if not len(known):
        return np.zeros(9)
    distinct, counts = np.unique(known, return_counts=True)
    whole = np.array_equal(distinct, distinct.round())
    scaled = _standard(known[:, None])[:, 0]
    shares = counts / len(known)
    low, high = np.quantile(known, [0.25, 0.75])
    reach = 1.5 * (high - low)
    return np.array(
        [
            np.log(len(distinct)) / np.log(1 + len(known)),
            float(whole and 2 < len(distinct) <= MAX_CATEGORIES),
            float(len(distinct) == 2),
            float(whole),
            (known == 0).mean(),
            np.cbrt((scaled**3).mean()),
            np.log1p((scaled**4).mean()),
            ((known < low - reach) | (known > high + reach)).mean(),
            -(shares * np.log(shares)).sum() / np.log(1 + len(distinct)),
        ]
    )


def _standard(values: np.ndarray) -> np.ndarray:
    """(N, F) -> (N, F) with mean 0 and deviation 1, or all 0."""
    centred = values - values.mean(0)
    deviation = centred.std(0)
    return centred / np.where(deviation > 0, deviation, 1)


def _correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(N, F), (N, G) standardised -> (F, G)."""
    return one.T @ other / len(one)
