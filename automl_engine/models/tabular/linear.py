"""Additive model of a table: piecewise linear curves of numbers, categories, and logistic regression on both."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.tabular import fit_basis, tabular_values
from automl_engine.models.shared.linear import FeatureLinear

SAMPLE = 20_000


class TabularLinear(FeatureLinear):
    """Params: ``ranges``, into how many a number column is cut; ``head`` and ``l2`` as in FeatureLinear; ``seed``."""

    name: ClassVar[str] = "tabular_linear"
    feature: ClassVar[str] = "tabular_basis"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        if len(split) > SAMPLE:
            chosen = np.random.default_rng(self.params.get("seed", 0)).permutation(len(split))[:SAMPLE]
            split = split.subset(np.sort(chosen))
        self.arrays = fit_basis(tabular_values(split), self.params.get("ranges", 6))
        super().train(split, remaining_time_budget)

    @property
    def feature_params(self) -> dict[str, Any]:
        return {}
