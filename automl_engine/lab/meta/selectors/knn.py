"""The rows that were best on the nearest known data sets; a new known set costs nothing."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import TARGETS, UNSCALED, Scale, best_first, filled


class NearestNeighbours(Selector):
    """By the mean over the ``k`` nearest, and by the mean over all known data sets with the weight ``prior``."""

    SPACE: ClassVar[dict[str, Any]] = {
        "k": {"uniform": [1, 15]},
        "prior": {"uniform": [0.0, 0.9]},
        "target": list(TARGETS),
    }

    def __init__(self, seed: int = 0, k: int = 5, prior: float = 0.1, target: str = "alc") -> None:
        super().__init__(seed)
        self.k, self.prior, self.target = k, prior, target
        self.scale = UNSCALED
        self.known, self.values = np.zeros((0, 0)), np.zeros((0, 0))  # (D, F), (D, C)

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.scale = Scale(features)
        self.known = self.scale(features)
        self.values = TARGETS[self.target](filled(scores))
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        apart = ((self.known - self.scale(features)) ** 2).sum(1)
        nearest = np.argsort(apart, kind="stable")[: self.k]
        near, everywhere = self.values[nearest].mean(0), self.values.mean(0)
        return best_first((1 - self.prior) * near + self.prior * everywhere)
