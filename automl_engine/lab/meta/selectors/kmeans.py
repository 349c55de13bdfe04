"""K-means over samples and a majority vote (the draft of Freiburg, section 6.1: their first baseline).

Every sample of the new data set falls into a cluster; the cluster's vote goes to the known data sets in proportion to
their samples in it, so that a small cluster of one set speaks for that set.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine.lab.meta.selectors.voting import SampleSelector


class KMeansVotes(SampleSelector):
    """Known samples are clustered once more whenever a data set is added."""

    SPACE: ClassVar[dict[str, Any]] = {
        "clusters": {"uniform": [5, 40]},
        "starts": {"uniform": [10, 30]},
        "iterations": {"uniform": [100, 500]},
    }

    def __init__(self, seed: int = 0, clusters: int = 40, starts: int = 10, iterations: int = 300) -> None:
        super().__init__(seed)
        self.clusters, self.starts, self.iterations = clusters, starts, iterations
        self.mean, self.unit = np.zeros(0), np.ones(0)  # (E,)
        self.means: Any = None
        self.owners = np.zeros((0, 0))  # (clusters, D)

    def learn(self, known: np.ndarray) -> None:
        from sklearn.cluster import KMeans

        sets, count, size = known.shape
        flat = known.reshape(-1, size).astype(np.float64)
        self.mean, deviation = flat.mean(0), flat.std(0)
        self.unit = np.where(deviation > 0, deviation, np.inf)
        clusters = min(self.clusters, len(flat))
        self.means = KMeans(clusters, n_init=self.starts, max_iter=self.iterations, random_state=self.seed)
        found = self.means.fit_predict((flat - self.mean) / self.unit)
        members = np.zeros((clusters, sets))
        np.add.at(members, (found, np.repeat(np.arange(sets), count)), 1)
        self.owners = members / np.maximum(members.sum(1, keepdims=True), 1)

    def votes(self, samples: np.ndarray) -> np.ndarray:
        found = self.means.predict((samples.astype(np.float64) - self.mean) / self.unit)
        return self.owners[found].mean(0)
