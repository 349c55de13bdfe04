"""Selectors that ignore the new data set: the configurations that are best on average."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import TARGETS, best_first, filled


class BestAverage(Selector):
    """By the mean over the known data sets of ALC, of deviations, or of ranks."""

    SPACE: ClassVar[dict[str, Any]] = {"target": list(TARGETS)}

    def __init__(self, seed: int = 0, target: str = "alc") -> None:
        super().__init__(seed)
        self.target = target
        self.order = np.zeros(0, int)  # (C,)

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.order = best_first(TARGETS[self.target](filled(scores)).mean(0))
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        return self.order


class BestAverageRank(BestAverage):
    """By mean rank."""

    SPACE: ClassVar[dict[str, Any]] = {}

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, "rank")
