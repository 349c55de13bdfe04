"""Which training examples to check on, and which to begin with."""

from __future__ import annotations

import numpy as np


def rarest_class(labels: np.ndarray) -> np.ndarray:
    """(N,) each example's rarest positive class; K for an example without any."""
    counts = labels.sum(0)
    rank = np.where(labels > 0, counts, np.inf)
    return np.where(labels.any(1), rank.argmin(1), labels.shape[1])


def fold_numbers(labels: np.ndarray, fold_count: int, seed: int) -> np.ndarray:
    """(N,) stratified fold of each example; outside fold 0 every class keeps at least one.

    Where no class has two, that can't be: the examples are spread at random, so that there is something to learn
    from and something to check on all the same.
    """
    generator = np.random.default_rng(seed)
    classes = rarest_class(labels)
    folds = np.empty(len(labels), np.int64)
    alone = 0
    for c in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == c))
        first = int(generator.integers(fold_count))
        if len(members) == 1 and fold_count > 1:
            first, alone = 1 + alone % (fold_count - 1), alone + 1
        folds[members] = (np.arange(len(members)) + first) % fold_count
    if alone == len(labels):
        folds = generator.permutation(np.arange(len(labels)) % fold_count)
    return folds


def stratified_sample(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most about ``count`` positions, classes in their proportion but each with at least two examples if it has."""
    generator = np.random.default_rng(seed)
    if count >= len(labels):
        return generator.permutation(len(labels))
    classes = rarest_class(labels)
    chosen = []
    for c in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == c))
        chosen.append(members[: max(2, round(count * len(members) / len(labels)))])
    return generator.permutation(np.concatenate(chosen))
