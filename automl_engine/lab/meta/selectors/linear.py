"""Bayesian linear regression of the rows' ALC on meta-features, in closed form.

Rows share a prior: each one's score is its mean over the known sets plus a linear function of the features.  How much
the features may say (the prior's variance by that of the noise) is not chosen but averaged over, each value weighed by
its evidence (marginal likelihood; MacKay, "Bayesian interpolation", 1992), so nothing has to be tuned and a table
without signal falls back to the best average.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np

from automl_engine.lab.meta.selectors.base import Selector
from automl_engine.lab.meta.selectors.vectors import TARGETS, UNSCALED, Scale, best_first, filled

STRENGTHS = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Variance that the features explain, by that of the noise."""


class Linear(Selector):
    """The mean of the predictions of each target, in units of the target's spread."""

    SPACE: ClassVar[dict[str, Any]] = {"targets": [["alc"], ["deviation"], ["rank"], ["alc", "deviation"]]}

    def __init__(self, seed: int = 0, targets: tuple[str, ...] = ("alc", "deviation")) -> None:
        super().__init__(seed)
        self.targets = targets
        self.scale, self.known = UNSCALED, np.zeros((0, 0))  # (D, F)
        self.values: list[np.ndarray] = []
        """(D, C) for each target."""
        self.duals: list[np.ndarray] = []
        """(D, C) weights of the known data sets, for each target."""

    def fit(self, features: np.ndarray, scores: np.ndarray) -> Self:
        self.scale = Scale(features)
        self.known = self.scale(features)
        full = filled(scores)
        values = [TARGETS[target](full) for target in self.targets]
        self.values = [value / max(float(value.std()), 1e-9) for value in values]
        gram = self.known @ self.known.T / self.known.shape[1]
        spectrum = np.linalg.eigh(gram)
        self.duals = [_duals(*spectrum, value - value.mean(0)) for value in self.values]
        return self

    def rank(self, features: np.ndarray) -> np.ndarray:
        alike = self.known @ self.scale(features) / self.known.shape[1]  # (D,)
        found = [value.mean(0) + alike @ dual for value, dual in zip(self.values, self.duals, strict=True)]
        return best_first(sum(np.nan_to_num((one - one.mean()) / max(float(one.std()), 1e-9)) for one in found))


def _duals(variances: np.ndarray, axes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Weights of the known data sets in a prediction, averaged by evidence.

    Args:
        variances: (D,) and ``axes`` (D, D) of the features' Gram matrix.
        values: (D, C), of mean 0 over the data sets.
    """
    turned = axes.T @ values
    evidence, duals = [], []
    for strength in STRENGTHS:
        spread = strength * np.maximum(variances, 0)[:, None] + 1  # of ``turned``, in units of the noise
        noise = max(float((turned**2 / spread).mean()), 1e-12)
        evidence.append(-0.5 * (values.size * np.log(noise) + values.shape[1] * np.log(spread).sum()))
        duals.append(strength * axes @ (turned / spread))
    weights = np.exp(np.array(evidence) - max(evidence))
    return np.tensordot(weights / weights.sum(), np.array(duals), 1)
