"""What selectors of samples share: each says how much a batch is like each known data set; rows follow from that."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.metalearning.selectors.base import Selector

PRIOR = 0.05
"""Of one vote: the weight of a row's regret on all known data sets, which orders rows that no vote speaks of."""


class SampleSelector(Selector):
    """A data set is a batch of embedded samples (n, E)."""

    of_samples = True
    space: ClassVar[str | None] = None
    """Name in ``EMBEDDINGS`` of the space that samples are points of; None: the modality's own."""
    SPACE: ClassVar[dict[str, Any]] = {}
    """What may be searched, in the notation of search/space.py."""

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.scores = scores
        self.learn(features)
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        return order_by_votes(self.votes(features), self.scores)

    @abstractmethod
    def learn(self, known: np.ndarray) -> None:
        """From (D, n, E) samples of the known data sets."""

    @abstractmethod
    def votes(self, samples: np.ndarray) -> np.ndarray:
        """(D,) shares of the known data sets in (n, E) samples of a new one; they sum to 1."""


def order_by_votes(votes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(C,) columns by their mean regret, the least first.

    Args:
        votes: (D,) how much each known data set counts.
        scores: (D, C) ALC; NaN = not known.
    """
    known = ~np.isnan(scores)
    filled = np.where(known, scores, -np.inf)
    regret = np.where(known, filled.max(1, keepdims=True) - filled, 0.0)
    everywhere = regret.sum(0) / np.maximum(known.sum(0), 1)
    expected = (votes @ regret + PRIOR * everywhere) / (votes @ known + PRIOR)
    return np.argsort(np.where(known.any(0), expected, np.inf), kind="stable")


def nearest_votes(distances: np.ndarray, count: int) -> np.ndarray:
    """(D,) equal votes of the ``count`` nearest."""
    nearest = np.argsort(distances, kind="stable")[:count]
    return np.bincount(nearest, minlength=len(distances)) / len(nearest)
