"""The protocol of a selector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np


class Selector(ABC):
    """Learns from known data sets; says in which order to try the rows on a new one."""

    of_samples: ClassVar[bool] = False
    """Whether a data set is a batch of embedded samples (n, E) instead of one vector (F,)."""
    SPACE: ClassVar[dict[str, Any]] = {}
    """What may be searched of its parameters, in the notation of portfolio/space.py."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        """(D, F) features or (D, n, E) samples, and (D, C) ALC; NaN = not known."""

    @abstractmethod
    def rank(self, features: np.ndarray) -> np.ndarray:
        """(C,) columns of the scores, the best first, for (F,) features or (n, E) samples of a new data set."""
