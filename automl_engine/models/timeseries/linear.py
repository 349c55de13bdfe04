"""Time series: linear models on plain statistics (at once) and on random convolutions, single or competing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine import clock
from automl_engine.dataset.examples import Examples
from automl_engine.features.timeseries import KERNELS, fit_competing, fit_convolutions, same_length, typical_length
from automl_engine.models.shared.linear import FeatureLinear

WORK = 10**10
"""Number of comparisons in one extraction, about (a few seconds): more series get fewer features."""


class SeriesStatistics(FeatureLinear):
    """Params: ``points`` of the course; ``head`` and ``l2`` as in FeatureLinear."""

    name: ClassVar[str] = "series_statistics"
    feature: ClassVar[str] = "series_statistics"


class SeriesConvolutions(FeatureLinear):
    """Ridge regression on the features of MiniRocket.  Params: ``features``, at most so many; ``seed``."""

    name: ClassVar[str] = "series_convolutions"
    feature: ClassVar[str] = "random_convolutions"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        length = typical_length(split)
        self.params = {**self.params, "length": length}
        most = self.params.get("features", 10_000 if len(split) <= 2000 else 3000)
        count = int(np.clip(WORK / (len(split) * length), 500, most))
        values = same_length(split, length)
        with clock.work(f"fit {self.feature.replace('_', ' ')}", features=count, values=values.size):
            self.arrays = self.fit_arrays(values, count)
        super().train(split, remaining_time_budget)

    def fit_arrays(self, values: np.ndarray, count: int) -> dict[str, np.ndarray]:
        """What the feature needs beside the length, for training series (N, C, L) and about ``count`` features."""
        return fit_convolutions(values, count, self.params.get("seed", 0))

    @property
    def feature_params(self) -> dict[str, Any]:
        return {"length": self.params["length"]}


class SeriesHydra(SeriesConvolutions):
    """Ridge regression on the features of Hydra.  Params: those of ``SeriesConvolutions``."""

    name: ClassVar[str] = "series_hydra"
    feature: ClassVar[str] = "competing_convolutions"

    def fit_arrays(self, values: np.ndarray, count: int) -> dict[str, np.ndarray]:
        dilations = max(1, int(np.log2(values.shape[2] / 4)))
        groups = int(np.clip(count / (2 * KERNELS * dilations), 8, 64))  # 64 in the paper
        return fit_competing(values, 2 * (groups // 2), self.params.get("seed", 0))
