"""Additive model of a table: piecewise linear curves of numbers, categories, and logistic regression on both."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.tabular import fit_basis, tabular_values
from automl_engine.models.shared.linear import FeatureLinear

SAMPLE = 20_000
FEWEST_COLUMNS = 10
WIDE = 1000
"""Number of columns above which only those that tell the classes apart are looked at."""


class TabularLinear(FeatureLinear):
    """Params: ``ranges``, into how many a number column is cut; ``head`` and ``l2`` as in FeatureLinear; ``seed``."""

    name: ClassVar[str] = "tabular_linear"
    feature: ClassVar[str] = "tabular_basis"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if len(split) > SAMPLE:
            chosen = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))[:SAMPLE]
            split = split.subset(np.sort(chosen))
        values = tabular_values(split)
        columns = telling_columns(values, split.labels) if values.shape[1] > WIDE else None
        self.arrays = fit_basis(values, self.params.get("ranges", 6), columns)
        super().train(split, remaining_time_budget)

    @property
    def feature_params(self) -> dict[str, Any]:
        return {}


def telling_columns(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) numbers of the columns of (N, F) values whose mean differs between examples with and without some label;
    at most half of them by chance (Benjamini & Hochberg, 1995).  At least ``FEWEST_COLUMNS``.

    scikit-learn's ``SelectFdr`` knows no missing values, and imports scipy.stats, which would delay every start.
    """
    with clock.work("fit basis", columns=values.shape[1], cells=values.size):
        known = ~np.isnan(values)
        means = np.where(known, values, 0).sum(0, dtype=np.float64) / np.maximum(known.sum(0), 1)
        cells = np.where(known, values - means, 0)
        cells /= cells.std(0) + 1e-9
        shares = labels.mean(0)
        errors = np.sqrt(len(labels) * np.maximum(shares * (1 - shares), 1e-12))
        largest = np.abs(cells.T @ (labels - shares) / errors).max(1)
        chances = np.minimum(2 * ndtr(-largest) * labels.shape[1], 1)  # that the largest of all labels is by chance
        order = np.argsort(chances, kind="stable")
        passed = np.flatnonzero(chances[order] <= 0.5 * np.arange(1, len(order) + 1) / len(order))
        count = max(passed[-1] + 1 if len(passed) else 0, FEWEST_COLUMNS)
    return np.sort(order[:count])
