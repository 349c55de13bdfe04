"""Freiburg, section 5.2: the known data set whose latent vectors differ least from a batch's by Welch's t-test.

The latent space is that of the autoencoder in ``metalearning/vae``, which need not know any of the data sets; a new
known one costs the means and variances of its batch.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from automl_engine.lab.meta.selectors.voting import VOTE_SPACE, SampleSelector, nearest_votes
from automl_engine.metalearning.vae import welch


class LatentNearest(SampleSelector):
    """The ``neighbours`` nearest data sets have equal votes (the paper has one); ``deviations`` count beside means."""

    space = "vae"
    SPACE: ClassVar[dict[str, Any]] = {"neighbours": [1, 2, 3, 5], "deviations": [True, False], **VOTE_SPACE}

    def __init__(self, seed: int = 0, neighbours: int = 1, deviations: bool = True, **how: Any) -> None:
        super().__init__(seed, **how)
        self.neighbours, self.deviations = neighbours, deviations
        self.known: list[welch.Moments] = []

    def learn(self, known: np.ndarray) -> None:
        self.known = [welch.moments(batch) for batch in known]

    def votes(self, samples: np.ndarray) -> np.ndarray:
        return nearest_votes(self.distances(samples), self.neighbours)

    def distances(self, samples: np.ndarray) -> np.ndarray:
        """(n, L) -> (D,), as of ``welch.distances``."""
        return welch.distances(welch.moments(samples), self.known, self.deviations)
