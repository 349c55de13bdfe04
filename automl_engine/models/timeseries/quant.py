"""Time series: extremely randomised trees on quantiles of intervals (QUANT, see ``features/quantiles.py``)."""

from __future__ import annotations

from typing import ClassVar

from automl_engine.dataset.examples import Examples
from automl_engine.features.quantiles import DEPTH, quantile_count
from automl_engine.features.timeseries import typical_length
from automl_engine.models.tabular.forest import FeatureForest

MOST_COLUMNS = 10_000
"""Number of quantiles of a series beyond which the smallest windows are left out."""


class SeriesQuant(FeatureForest):
    """Params: those of ``FeatureForest``."""

    name: ClassVar[str] = "series_quant"
    feature: ClassVar[str] = "interval_quantiles"

    def train(self, split: Examples, remaining_time_budget: float) -> None:
        length = typical_length(split.origin()[0])  # the same for all folds: so they share what is computed
        depth, channels = DEPTH, self.spec.num_channels
        while depth > 1 and channels * quantile_count(length, depth) > MOST_COLUMNS:
            depth -= 1
        self.params = {"looked_at": 0.1, **self.params, "length": length, "depth": depth}
        super().train(split, remaining_time_budget)
