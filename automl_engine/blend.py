"""How much a newcomer may say in a blend, decided on examples that neither side has trained on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from automl_engine.scoring import nauc

NOISE = 0.2
SHARES = np.linspace(0, 1, 11)
CALIBRATION = 0.05
"""Weight of the log-loss beside the NAUC: it breaks ties and steadies the choice on few examples."""


def validation_nauc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all classes constant: 0, and nothing to tell
        return nauc(labels, probabilities)


def quality(labels: np.ndarray, probabilities: np.ndarray, multi_label: bool) -> float:
    """What the blend maximises: NAUC less a little log-loss; both arrays (n, K)."""
    clipped = probabilities.clip(1e-4, 1 - 1e-4)
    losses = labels * np.log(clipped)
    if multi_label:
        losses = losses + (1 - labels) * np.log(1 - clipped)
    return validation_nauc(labels, probabilities) + CALIBRATION * float(losses.sum(1).mean()) / labels.shape[1] ** (
        0.5 * multi_label
    )


def mix(predictions: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean (N, K) of predictions by name; the weights need not sum to one."""
    total = sum(weights.values())
    return sum(predictions[name] * (weight / total) for name, weight in weights.items())  # type: ignore[return-value]


def best_share(
    labels: np.ndarray, others: np.ndarray | None, newcomer: np.ndarray, multi_label: bool
) -> tuple[float, float]:
    """(share of the newcomer, quality of that blend): the smallest share within the noise of the best.

    Without others the share is 1.
    """
    if others is None:
        return 1.0, quality(labels, newcomer, multi_label)
    qualities = np.array([quality(labels, (1 - s) * others + s * newcomer, multi_label) for s in SHARES])
    smallest = int(np.argmax(qualities >= qualities.max() - noise(len(labels))))
    return float(SHARES[smallest]), float(qualities[smallest])


def noise(count: int) -> float:
    """A gain in quality on ``count`` examples that is not worth a change: two blends differ in few pairs only, so
    this is well below the standard error of one NAUC."""
    return NOISE / count
