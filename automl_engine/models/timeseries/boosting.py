"""Boosted trees (LightGBM) on the plain statistics of a series."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from automl_engine.dataset.examples import Examples
from automl_engine.features.timeseries import series_statistics
from automl_engine.models.base import is_multi_label
from automl_engine.models.tabular.lightgbm import TabularLightGBM


class SeriesBoosting(TabularLightGBM):
    """Params: ``seed``."""

    name: ClassVar[str] = "series_boosting"

    def _read(self, split: Examples, share_s: float) -> None:
        self.inputs, self.labels = series_statistics(split), split.labels
        self.multi_label = is_multi_label(self.labels)

    def test(self, split: Examples, remaining_time_budget: float) -> np.ndarray:
        return self._ask(series_statistics(split))

    def export(self, dir: Path) -> list[dict[str, Any]]:
        return [{**member, "feature": "series_statistics"} for member in super().export(dir)]
