"""What selectors of samples share: each says how much a batch is like each known data set; rows follow from that."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import TARGETS, best_first, filled

VOTE_SPACE: dict[str, Any] = {"target": list(TARGETS), "prior": {"log": [0.01, 10.0]}}


class SampleSelector(Selector):
    """A data set is a batch of embedded samples (n, E)."""

    of_samples = True
    space: ClassVar[str | None] = None
    """Name in ``EMBEDDINGS`` of the space that samples are points of; None: the modality's own."""
    SPACE: ClassVar[dict[str, Any]] = VOTE_SPACE

    def __init__(self, seed: int = 0, target: str = "rank", prior: float = 0.25) -> None:
        super().__init__(seed)
        self.target, self.prior = target, prior
        self.scores = np.zeros((0, 0))  # (D, C)

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.scores = scores
        self.learn(features)
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        return order_by_votes(self.votes(features), self.scores, self.target, self.prior)

    @abstractmethod
    def learn(self, known: np.ndarray) -> None:
        """From (D, n, E) samples of the known data sets."""

    @abstractmethod
    def votes(self, samples: np.ndarray) -> np.ndarray:
        """(D,) shares of the known data sets in (n, E) samples of a new one; they sum to 1."""


def order_by_votes(votes: np.ndarray, scores: np.ndarray, target: str, prior: float) -> np.ndarray:
    """(C,) columns, best first, by what they are worth on the data sets voted for.

    Args:
        votes: (D,) shares of the known data sets.
        scores: (D, C) ALC; NaN = not known.
        target: what a row is worth (``TARGETS``).
        prior: how much its mean over all known data sets counts, the votes together being 1; the paper has 0.
    """
    worth = TARGETS[target](filled(scores))
    return best_first(votes @ worth + prior * worth.mean(0))


def nearest_votes(distances: np.ndarray, count: int) -> np.ndarray:
    """(D,) equal votes of the ``count`` nearest."""
    nearest = np.argsort(distances, kind="stable")[:count]
    return np.bincount(nearest, minlength=len(distances)) / len(nearest)
