"""Rules for the weights of an ensemble, from out-of-fold predictions of the same examples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.optimize import nnls

from automl_engine.auto.ensemble import difference_error, objective

Rule = Callable[[np.ndarray, np.ndarray, bool], np.ndarray]
"""(labels (n, K), predictions (M, n, K), whether multi-label) -> weights (M,), whose sum is 1."""
STEPS, SAMPLES = 20, 10
"""Additions of greedy selection, and bootstrap samples."""


def mean(labels: np.ndarray, predictions: np.ndarray, multi_label: bool) -> np.ndarray:
    return np.full(len(predictions), 1 / len(predictions))


def best(labels: np.ndarray, predictions: np.ndarray, multi_label: bool) -> np.ndarray:
    return np.eye(len(predictions))[np.argmax([objective(labels, p, multi_label) for p in predictions])]


def greedy(labels: np.ndarray, predictions: np.ndarray, multi_label: bool) -> np.ndarray:
    """Ensemble selection with replacement, the best first (Caruana et al., ICML 2004)."""
    counts, total = np.zeros(len(predictions)), np.zeros(labels.shape)
    found, weights = -np.inf, counts
    for step in range(1, STEPS + 1):
        objectives = [objective(labels, (total + p) / step, multi_label) for p in predictions]
        chosen = int(np.argmax(objectives))
        counts[chosen] += 1
        total += predictions[chosen]
        if objectives[chosen] > found:
            found, weights = objectives[chosen], counts / step
    return weights


def bagged(labels: np.ndarray, predictions: np.ndarray, multi_label: bool) -> np.ndarray:
    """The mean of greedy selections among half of the members, as in the paper."""
    generator, weights = np.random.default_rng(0), np.zeros(len(predictions))
    for _ in range(SAMPLES):
        some = generator.permutation(len(predictions))[: -(-len(predictions) // 2)]
        weights[some] += greedy(labels, predictions[some], multi_label) / SAMPLES
    return weights


def resampled(labels: np.ndarray, predictions: np.ndarray, multi_label: bool) -> np.ndarray:
    """The mean of greedy selections on bootstrap samples of the examples."""
    samples = np.random.default_rng(0).integers(len(labels), size=(SAMPLES, len(labels)))
    return np.mean([greedy(labels[s], predictions[:, s], multi_label) for s in samples], 0)


def stacked(labels: np.ndarray, predictions: np.ndarray, multi_label: bool, shrinkage: float = 30.0) -> np.ndarray:
    """Non-negative least squares, shrunk to the best member as if it had had so many more examples."""
    weights, _ = nnls(predictions.reshape(len(predictions), -1).T.astype(float), labels.ravel().astype(float))
    alone = best(labels, predictions, multi_label)
    trust = len(labels) / (len(labels) + shrinkage) if weights.sum() else 0.0
    return trust * weights / max(weights.sum(), 1e-9) + (1 - trust) * alone


def mixture(labels: np.ndarray, predictions: np.ndarray, multi_label: bool, prior: float = 20.0) -> np.ndarray:
    """The likeliest weights, by expectation maximisation, with so many examples more that prefer equal ones."""
    truth = np.where(labels > 0, predictions, 1 - predictions) if multi_label else predictions
    likelihoods = truth.reshape(len(predictions), -1) if multi_label else (labels * predictions).sum(2)
    likelihoods, weights = likelihoods.clip(1e-4), mean(labels, predictions, multi_label)
    prior *= likelihoods.shape[1] / len(labels)
    for _ in range(50):
        parts = weights[:, None] * likelihoods
        weights = (parts / parts.sum(0)).sum(1) + prior / len(predictions)
        weights /= weights.sum()
    return weights


def not_worse(labels: np.ndarray, predictions: np.ndarray, multi_label: bool, errors: float = 0.5) -> np.ndarray:
    """The mean of the best members, one more as long as it loses at most so many standard errors."""
    objectives = [objective(labels, p, multi_label) for p in predictions]
    first, *others = np.argsort(objectives)[::-1].tolist()
    members, found, mixed = [first], objectives[first], predictions[first]
    for other in others:
        candidate = predictions[[*members, other]].mean(0)
        reached = objective(labels, candidate, multi_label)
        if reached >= found - errors * difference_error(labels, candidate, mixed):
            members.append(other)
        if members[-1] == other and reached > found:
            found, mixed = reached, candidate
    return np.eye(len(predictions))[members].mean(0)


RULES: dict[str, Rule] = {
    "mean": mean,
    "best": best,
    "greedy": greedy,
    "greedy, half of the members": bagged,
    "greedy, bootstrap": resampled,
    "least squares": partial(stacked, shrinkage=0.0),
    "least squares, shrunk": stacked,
    "mixture": partial(mixture, prior=0.0),
    "mixture, shrunk": mixture,
    "mean while not worse": not_worse,
}
