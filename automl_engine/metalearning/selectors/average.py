"""What needs no knowledge of the new data set: the rows that are best on average."""

from __future__ import annotations

from typing import Self

import numpy as np

from automl_engine.metalearning.selectors.base import Selector


class BestAverage(Selector):
    """By mean ALC over the known data sets."""

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.order = np.argsort(-np.nanmean(scores, 0), kind="stable")
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        return self.order
