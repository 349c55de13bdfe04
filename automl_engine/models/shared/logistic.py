"""Softmax and sigmoid regression by L-BFGS on dense or sparse inputs.

scikit-learn's has the same objective, but cannot stop at a moment of the clock, nor scale the inputs class by class.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit, log_softmax, softmax
from threadpoolctl import ThreadpoolController

from automl_engine import clock

POOLS = ThreadpoolController()  # looking for the libraries takes tens of milliseconds, here before the clock starts


def fit_logistic(
    inputs: np.ndarray | csr_matrix,
    labels: np.ndarray,
    multi_label: bool,
    l2: float,
    end: float = np.inf,
    scale: np.ndarray | None = None,
    start: np.ndarray | None = None,
    *,
    work: str,
    amounts: Mapping[str, float],
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and bias (K,); ``l2`` is the penalty on the sum over examples (scikit-learn's 1 / C).

    Args:
        inputs: (N, D) float32.
        labels: (N, K) in 0..1.
        end: on the clock; what is found until then counts.
        scale: (D, K), multiplies the inputs, differently for each class.
        start: (D + 1, K) where to begin, the bias last; zero if it is not given.
        work, amounts: what the clock is told of each step.
        options: of SciPy's L-BFGS-B.
    """
    width, classes = inputs.shape[1], labels.shape[1]
    labels = labels.astype(np.float32)
    is_dense = isinstance(inputs, np.ndarray)
    cost = _dense_cost if is_dense else _sparse_cost
    transposed = inputs.T if is_dense else csr_matrix(inputs.T)

    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(width + 1, classes).astype(np.float32)
        scores = inputs @ (weights[:-1] if scale is None else weights[:-1] * scale) + weights[-1]
        penalty = 0.5 * l2 * float((weights[:-1] ** 2).sum())
        objective, error = cost(scores, labels, multi_label, penalty)
        slope = transposed @ error
        gradient = np.empty((width + 1, classes))
        gradient[:-1] = (slope if scale is None else slope * scale) + l2 * weights[:-1]
        gradient[-1] = error.sum(0)
        return objective, gradient.ravel() / len(labels)

    def stop_in_time(_: np.ndarray) -> None:
        lap(**amounts)
        if clock.now_s() > end:
            raise StopIteration

    start = np.zeros((width + 1, classes)) if start is None else start
    # Threads cost more than they gain on products with so few columns: two take up to six times as long as one.
    with clock.work(work) as lap, POOLS.limit(limits=1):
        found = minimize(
            loss_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", callback=stop_in_time, options=options
        ).x
    found = found.reshape(width + 1, classes).astype(np.float32)
    return found[:-1] if scale is None else found[:-1] * scale, found[-1]


# The two costs differ in rounding only, which in single precision decides where L-BFGS stops: dense and sparse inputs
# keep the one that their results were measured with.


def _dense_cost(scores: np.ndarray, labels: np.ndarray, multi_label: bool, penalty: float) -> tuple[float, np.ndarray]:
    """The mean cross-entropy with the penalty, and by how much each probability is too high."""
    if multi_label:
        loss, error = (np.logaddexp(0, scores) - labels * scores).sum(), expit(scores) - labels
    else:
        log_p = log_softmax(scores, axis=1)
        loss, error = -(labels * log_p).sum(), np.exp(log_p) * labels.sum(1, keepdims=True) - labels
    return (float(loss) + penalty) / len(labels), error


def _sparse_cost(scores: np.ndarray, labels: np.ndarray, multi_label: bool, penalty: float) -> tuple[float, np.ndarray]:
    """``_dense_cost`` of sparse inputs."""
    error = (expit(scores) if multi_label else softmax(scores, axis=1) * labels.sum(1, keepdims=True)) - labels
    terms = labels.shape[1] if multi_label else 1
    return log_loss(scores, labels, multi_label) * terms + penalty / len(labels), error


def log_loss(scores: np.ndarray, labels: np.ndarray, multi_label: bool) -> float:
    """Mean cross-entropy of scores before softmax or sigmoid, (N, K)."""
    if multi_label:
        return float((np.logaddexp(0, scores) - labels * scores).mean())
    top = scores.max(1)
    normaliser = top + np.log(np.exp(scores - top[:, None]).sum(1))  # scipy's logsumexp is slow on small arrays
    return float((normaliser * labels.sum(1) - (labels * scores).sum(1)).mean())
