"""Freiburg, section 5.1, the first approach and their baseline: nearest centroids with a median, majority vote.

The median of each coordinate is the point of least summed absolute distance, so distances are absolute too (as in
scikit-learn's NearestCentroid with metric="manhattan"), in units of the mean deviation within a data set.  A new known
data set costs one median.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine.lab.meta.selectors.voting import VOTE_SPACE, SampleSelector, nearest_votes


class NearestCentroid(SampleSelector):
    """Every sample votes for the data set with the nearest centroid, or (``vote="centroid"``) their median does."""

    SPACE: ClassVar[dict[str, Any]] = {
        "vote": ["samples", "centroid"],
        "scale": ["within", "overall", "none"],
        **VOTE_SPACE,
    }

    def __init__(self, seed: int = 0, vote: str = "samples", scale: str = "within", **how: Any) -> None:
        super().__init__(seed, **how)
        self.vote, self.scale = vote, scale
        self.centroids, self.unit = np.zeros((0, 0)), np.ones(0)  # (D, E), (E,)

    def learn(self, known: np.ndarray) -> None:
        self.centroids = np.median(known, 1)
        if self.scale == "none":
            self.unit = np.ones(known.shape[2])
        else:
            middle = self.centroids[:, None] if self.scale == "within" else np.median(known, (0, 1))
            deviation = np.abs(known - middle).mean((0, 1))
            self.unit = np.where(deviation > 0, deviation, np.inf)  # what never varies tells nothing

    def votes(self, samples: np.ndarray) -> np.ndarray:
        if self.vote == "centroid":
            return nearest_votes(self.distances(np.median(samples, 0)[None])[0], 1)
        nearest = self.distances(samples).argmin(1)
        return np.bincount(nearest, minlength=len(self.centroids)) / len(samples)

    def distances(self, samples: np.ndarray) -> np.ndarray:
        """(n, E) -> (n, D)."""
        return np.stack([(np.abs(samples - centroid) / self.unit).mean(1) for centroid in self.centroids], 1)
